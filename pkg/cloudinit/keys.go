package cloudinit

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"tensorstack.dev/virtualserver/pkg/spelling"
)

// moduleKeys are the keys of modules that are objects, or lists of objects, as cloud-init's reference lists them:
// https://cloudinit.readthedocs.io/en/latest/reference/modules.html. Dashes in them count as underscores.
var moduleKeys = map[string]map[string]bool{
	"users": set(`name create_groups doas expiredate gecos groups hashed_passwd homedir inactive lock_passwd no_create_home no_log_init no_user_group
		passwd plain_text_passwd primary_group selinux_user shell snapuser ssh_authorized_keys ssh_import_id ssh_redirect_user sudo system uid`),
	"chpasswd":    set("expire list users"),
	"write_files": set("path content source owner permissions encoding append defer"),
	"growpart":    set("mode devices ignore_growroot_disabled"),
	"power_state": set("delay mode message timeout condition"),
	"fs_setup":    set("label filesystem device partition overwrite replace_fs extra_opts cmd"),
	"swap":        set("filename size maxsize"),
	"ntp":         set("enabled servers pools peers allow ntp_client config"),
	"phone_home":  set("url post tries"),
	"keyboard":    set("layout model variant options"),
	"resolv_conf": set("nameservers searchdomains domain sortlist options"),
	"ca_certs":    set("remove_defaults trusted"),
}

// passwordKeys are the keys of an entry of chpasswd.users.
var passwordKeys = set("name password type")

// keyProblems finds keys inside modules that cloud-init ignores.
func keyProblems(config map[string]any) []string {
	var problems []string
	for _, module := range slices.Sorted(maps.Keys(config)) {
		known := moduleKeys[strings.ReplaceAll(module, "-", "_")]
		if module == "user" {
			known = moduleKeys["users"]
		}
		if known == nil {
			continue
		}
		for where, entry := range entries(module, config[module]) {
			problems = append(problems, unknownKeys(where, entry, known)...)
		}
	}
	if settings, ok := config["chpasswd"].(map[string]any); ok {
		for where, entry := range entries("chpasswd.users", settings["users"]) {
			problems = append(problems, unknownKeys(where, entry, passwordKeys)...)
		}
	}
	return problems
}

// entries yields the objects of a module with where they are: the module itself, or those of its list.
func entries(module string, value any) func(func(string, map[string]any) bool) {
	return func(yield func(string, map[string]any) bool) {
		switch value := value.(type) {
		case map[string]any:
			if module != "users" {
				yield(module, value)
				return
			}
			// The old form of users has their names for keys.
			for _, name := range slices.Sorted(maps.Keys(value)) {
				if entry, ok := value[name].(map[string]any); ok && !yield(fmt.Sprintf("%s[%q]", module, name), entry) {
					return
				}
			}
		case []any:
			for i, element := range value {
				if entry, ok := element.(map[string]any); ok && !yield(fmt.Sprintf("%s[%d]", module, i), entry) {
					return
				}
			}
		}
	}
}

func unknownKeys(where string, entry map[string]any, known map[string]bool) []string {
	var unknown []string
	for _, key := range slices.Sorted(maps.Keys(entry)) {
		if !known[strings.ReplaceAll(key, "-", "_")] {
			unknown = append(unknown, key)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("cloud-init does not know %s in %s and ignores it%s", quoted(unknown), where, meant(unknown, known))}
}

// meant suggests what the first of some unknown names is a misspelling of.
func meant(unknown []string, known map[string]bool) string {
	if len(unknown) != 1 || len(unknown[0]) > 40 {
		return ""
	}
	best := spelling.Nearest(unknown[0], slices.Collect(maps.Keys(known)))
	if best == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %s?", best)
}

var (
	// passwordHash is what crypt(5) writes: an identifier, parameters, salt and sum between dollar signs, or thirteen characters
	// of the old DES form.
	passwordHash = regexp.MustCompile(`^(\$[0-9a-z][0-9a-z-]*\$[^:\s]+|_?[./0-9A-Za-z]{13})$`)
	// noPassword is a field of /etc/shadow that lets nobody in.
	noPassword = regexp.MustCompile(`^([!*]+|x|!.*)$`)
)

// passwordProblems finds passwords where a hash belongs: the guest would keep the text as if it were one, and no password fits.
func passwordProblems(config map[string]any) []string {
	var problems []string
	check := func(where string, value any, instead string) {
		if text, ok := value.(string); value == nil || ok && (text == "" || passwordHash.MatchString(text) || noPassword.MatchString(text)) {
			return
		}
		problems = append(problems, fmt.Sprintf("%s is not the hash of a password, so that no password will fit: write what openssl passwd -6 prints%s", where, instead))
	}
	for _, module := range []string{"user", "users"} {
		for where, entry := range entries(module, config[module]) {
			for _, key := range []string{"passwd", "hashed_passwd"} {
				check(where+"."+key, entry[key], ", or use plain_text_passwd")
			}
		}
	}
	if settings, ok := config["chpasswd"].(map[string]any); ok {
		for where, entry := range entries("chpasswd.users", settings["users"]) {
			if kind, _ := entry["type"].(string); kind == "" || strings.EqualFold(kind, "hash") {
				check(where+".password", entry["password"], ", or add type: text")
			}
		}
	}
	return problems
}
