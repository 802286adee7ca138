package cloudinit

import (
	"regexp"
	"slices"
	"strings"
)

// HoldsPassword says whether user data in YAML sets a password.
func (u UserData) HoldsPassword() bool {
	config := u.modules()
	if config["password"] != nil || config["chpasswd"] != nil && holdsPasswordList(config["chpasswd"]) {
		return true
	}
	users, _ := config["users"].([]any)
	for _, entry := range users {
		user, _ := entry.(map[string]any)
		for _, key := range []string{"passwd", "hashed_passwd", "plain_text_passwd"} {
			if user[key] != nil {
				return true
			}
		}
	}
	return false
}

// IgnoresPublicKeys says why the public keys of the machine's metadata reach no user that one can log in as, or "" if they reach
// the default user of the image. Keys in the user data itself are another matter. cloud-init's rules are those of
// normalize_users_groups in its cloudinit/distros/ug_util.py: "user" changes the default user, and "users" replaces the list
// that has it.
func (u UserData) IgnoresPublicKeys() string {
	config := u.modules()
	if allowed, ok := config["allow_public_ssh_keys"].(bool); ok && !allowed {
		return "has allow_public_ssh_keys: false"
	}
	users, given := config["users"]
	if !given || config["user"] != nil || namesDefaultUser(users) {
		return ""
	}
	return "lists users without the entry default: add it, or give each user ssh_authorized_keys"
}

func namesDefaultUser(users any) bool {
	const name = "default"
	switch users := users.(type) {
	case string:
		return slices.ContainsFunc(strings.Split(users, ","), func(user string) bool { return strings.TrimSpace(user) == name })
	case map[string]any:
		return users[name] != nil
	case []any:
		return slices.ContainsFunc(users, func(entry any) bool {
			user, _ := entry.(map[string]any)
			return entry == name || user["name"] == name
		})
	default:
		return false
	}
}

func holdsPasswordList(chpasswd any) bool {
	settings, _ := chpasswd.(map[string]any)
	return settings["list"] != nil || settings["users"] != nil
}

var virtiofsMount = regexp.MustCompile(`\bmount\b[^\n;&|]*?\s-t\s+virtiofs\s+(?:-o\s+\S+\s+)?([A-Za-z0-9][A-Za-z0-9-]*)`)

// MountedFilesystems returns the tags of the virtiofs filesystems that user data mounts by the command mount or by the
// module mounts, sorted.
func (u UserData) MountedFilesystems() []string {
	var tags []string
	for _, match := range virtiofsMount.FindAllStringSubmatch(u.text, -1) {
		tags = append(tags, match[1])
	}
	mounts, _ := u.modules()["mounts"].([]any)
	for _, entry := range mounts {
		fields, _ := entry.([]any)
		if len(fields) < 3 || fields[2] != "virtiofs" {
			continue
		}
		if tag, ok := fields[0].(string); ok {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

// modules returns the modules of user data in YAML, or none if it is something else.
func (u UserData) modules() map[string]any {
	if u.err != nil || !strings.HasPrefix(u.text, configHeader) {
		return nil
	}
	return u.config
}
