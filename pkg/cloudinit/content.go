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
