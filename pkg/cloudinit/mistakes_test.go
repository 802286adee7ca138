package cloudinit

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const simpleConfig = "#cloud-config\nuser: fedora\nruncmd:\n- [ls, /]\n"

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var buffer bytes.Buffer
	writer := gzip.NewWriter(&buffer)
	_, err := writer.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	return buffer.Bytes()
}

// What cannot be read by cloud-init is called what it is.
func TestOtherKindsOfUserData(t *testing.T) {
	encode := base64.StdEncoding.EncodeToString
	wrapped := func(text string) string { return text[:20] + "\n" + text[20:] + "\n" }
	for name, test := range map[string]struct{ data, want string }{
		"CRLF script":           {"#!/bin/bash\r\necho hello\r\n", "CR LF"},
		"CRLF Python":           {"\n#!/usr/bin/env python3\r\nprint(1)\r\n", "CR LF"},
		"CRLF boothook":         {"#cloud-boothook\r\n#!/bin/sh\r\necho x\r\n", "CR LF"},
		"CRLF config is good":   {strings.ReplaceAll(simpleConfig, "\n", "\r\n"), ""},
		"CR inside a script":    {"#!/bin/sh\nprintf 'a\r\n'\n", ""},
		"a boothook":            {"#cloud-boothook\n#!/bin/sh\necho x\n", ""},
		"a mark before config":  {"\ufeff" + simpleConfig, "byte order mark"},
		"a mark before script":  {"\ufeff#!/bin/sh\n", "byte order mark"},
		"a mark after lines":    {"\n\ufeff" + simpleConfig, "byte order mark"},
		"a zero-width space":    {"\u200b" + simpleConfig, "U+200B"},
		"a soft hyphen":         {"\u00ad#!/bin/sh\n", "U+00AD"},
		"base64":                {encode([]byte(simpleConfig)), "it is base64"},
		"base64 in lines":       {wrapped(encode([]byte("#!/bin/sh\necho something\n"))), "it is base64"},
		"base64 for URLs":       {base64.RawURLEncoding.EncodeToString([]byte("#!/bin/sh\necho '???>>>'\n")), "it is base64"},
		"gzip in base64":        {encode(zipped(t, simpleConfig)), "gzip file in base64"},
		"gzip in lines":         {wrapped(encode(zipped(t, "#!/bin/sh\n"))), "gzip file in base64"},
		"gzip as text":          {strings.ToValidUTF8(string(zipped(t, simpleConfig)), "\ufffd"), "gzip file that was read as text"},
		"gzip as Latin-1":       {"\x1f\u008b\u0008\u0000", "gzip file that was read as text"},
		"a word":                {"helloworldhelloworldhelloworld!!", "first line must say what it is"},
		"Talos":                 {"version: v1alpha1\nmachine:\n  type: worker\n  token: hunter2\n", "Talos"},
		"Talos, comment first":  {"# made by talosctl\nversion: v1alpha1\ndebug: false\ncluster:\n  id: a\n", "Talos"},
		"Talos document":        {"apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: a\n", "Talos"},
		"Ignition":              {`{"ignition":{"version":"3.4.0"},"passwd":{"users":[{"passwordHash":"hunter2"}]}}`, "Ignition"},
		"Ignition, indented":    {"{\n  \"passwd\": {},\n  \"ignition\" : {\n    \"version\": \"2.2.0\"\n  }\n}\n", "Ignition"},
		"Butane":                {"variant: fcos\nversion: 1.5.0\npasswd: {}\n", "Butane"},
		"Butane for Flatcar":    {"# comment\nvariant: \"flatcar\"\nversion: 1.0.0\n", "Butane"},
		"cloudbase-init":        {"#ps1_sysnative\nWrite-Host hello\n", "cloudbase-init"},
		"cloudbase-init, short": {"#ps1\r\nGet-Disk\r\n", "cloudbase-init"},
		"cloudbase-init, batch": {"rem cmd\ndir\n", "cloudbase-init"},
		"EC2's PowerShell":      {"<powershell>\nGet-Disk\n</powershell>\n", "cloudbase-init"},
		"PowerShell":            {"Set-ExecutionPolicy Bypass -Force\r\nInstall-WindowsFeature Web-Server\r\n", "looks like PowerShell"},
		"PowerShell variables":  {"$name = 'hunter2'\nRename-Computer $name\n", "looks like PowerShell"},
		"batch":                 {"@echo off\r\ndir\r\n", "batch file"},
		"an answer file":        {"<?xml version=\"1.0\"?>\n<unattend></unattend>\n", "Windows Setup"},
		"Kickstart":             {"lang en_US\n%packages\n@core\n%end\n", "Kickstart"},
		"preseed":               {"d-i debian-installer/locale string en_US\n", "preseed"},
		"config without header": {"runcmd:\n- start-service x\n", "first line must be #cloud-config"},
		"a spelling of it":      {"# cloud-config\nuser: a\n", "first line must be #cloud-config"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Parse(test.data).Lint()
			if test.want == "" {
				assert.Empty(t, got)
				return
			}
			require.Len(t, got, 1, "%v", got)
			assert.Contains(t, got[0], test.want)
			assert.NotContains(t, got[0], "hunter2")
			assert.True(t, utf8.ValidString(got[0]))
		})
	}
}

func TestMisspeltKeys(t *testing.T) {
	for data, want := range map[string]string{
		"users:\n- name: a\n  ssh_authorised_keys: [k]\n":         `"ssh_authorised_keys" in users[0] and ignores it: did you mean ssh_authorized_keys?`,
		"users:\n- default\n- name: a\n  plaintext_passwd: x\n":   `"plaintext_passwd" in users[1] and ignores it: did you mean plain_text_passwd?`,
		"users:\n- {name: a, sudoers: x}\n":                       `"sudoers" in users[0]`,
		"users:\n- {name: a, group: wheel}\n":                     `did you mean groups?`,
		"users:\n- {name: a, Shell: /bin/sh}\n":                   `did you mean shell?`,
		"users:\n- {name: a, home_dir: /a, lockpasswd: no}\n":     `does not know "home_dir", "lockpasswd" in users[0]`,
		"users: {bob: {ssh_keys: [k]}}\n":                         `"ssh_keys" in users["bob"]`,
		"user: {name: a, sshauthorizedkeys: [k]}\n":               `"sshauthorizedkeys" in user and ignores it: did you mean ssh_authorized_keys?`,
		"chpasswd: {expired: false}\n":                            `"expired" in chpasswd and ignores it: did you mean expire?`,
		"chpasswd: {users: [{name: a, type: text, passwd: x}]}\n": `"passwd" in chpasswd.users[0]`,
		"write_files:\n- path: /a\n  contents: b\n":               `"contents" in write_files[0] and ignores it: did you mean content?`,
		"write_files:\n- path: /a\n  permission: '0644'\n":        `did you mean permissions?`,
		"growpart: {devcies: [/]}\n":                              `did you mean devices?`,
		"power_state: {mod: reboot}\n":                            `did you mean mode?`,
		"fs_setup: [{filesytem: ext4}]\n":                         `did you mean filesystem?`,
		"ca-certs: {remove-default: true}\n":                      `"remove-default" in ca-certs`,
		"run_cmd: []\n":                                           `"run_cmd" at the top level and ignores it: did you mean runcmd?`,
		"pakages: [vim]\n":                                        `did you mean packages?`,
		"qqqqqqqq: 1\n":                                           `"qqqqqqqq" at the top level and ignores it`,
	} {
		got := Parse("#cloud-config\n" + data).Lint()
		if assert.Len(t, got, 1, "%s %v", data, got) {
			assert.Contains(t, got[0], want, data)
		}
	}
	assert.NotContains(t, Parse("#cloud-config\nqqqqqqqq: 1\n").Lint()[0], "did you mean")
	for _, good := range []string{
		"users: [default, bob, {name: a, lock-passwd: true, ssh-authorized-keys: [k], uid: 5}]\n", "user: fedora\n", "users: {bob: true, eve: {shell: /bin/sh}}\n",
		"chpasswd: {list: ['a:b'], expire: false}\n", "write_files: [{path: /a, content: b, encoding: b64, defer: true}]\n", "growpart: {mode: auto, devices: [/]}\n",
		"ca_certs: {remove-defaults: true, trusted: [x]}\n", "users: text\n", "users:\n", "chpasswd: text\n",
	} {
		assert.Empty(t, Parse("#cloud-config\n"+good).Lint(), good)
	}
	many := "#cloud-config\nusers:\n" + strings.Repeat("- {nam: a}\n", 500)
	got := Parse(many).Lint()
	require.Len(t, got, maxProblems+1)
	assert.Equal(t, "and 490 more problems", got[maxProblems])
}

func TestPasswordsThatAreNoHashes(t *testing.T) {
	user := func(key, value string) string { return "users:\n- {name: a, " + key + ": '" + value + "'}\n" }
	for data, want := range map[string]string{
		user("passwd", "hunter2"):                                         "users[0].passwd is not the hash",
		user("hashed_passwd", "correct horse"):                            "users[0].hashed_passwd is not the hash",
		user("passwd", "$6$"):                                             "users[0].passwd",
		user("passwd", "hunter2hunter2hunter2"):                           "use plain_text_passwd",
		user("passwd", "$6$salt$a b"):                                     "users[0].passwd",
		user("passwd", "{SSHA}abcdefg"):                                   "users[0].passwd",
		"users:\n- {name: a, passwd: 123456}\n":                           "users[0].passwd",
		"user: {name: a, passwd: hunter2}\n":                              "user.passwd",
		"chpasswd: {users: [{name: a, password: hunter2}]}\n":             "chpasswd.users[0].password is not the hash",
		"chpasswd: {users: [{name: a, password: hunter2, type: hash}]}\n": "add type: text",
	} {
		got := Parse("#cloud-config\n" + data).Lint()
		if assert.Len(t, got, 1, "%s %v", data, got) {
			assert.Contains(t, got[0], want, data)
			assert.Contains(t, got[0], "openssl passwd -6")
			assert.NotContains(t, got[0], "hunter2")
		}
	}
	for _, good := range []string{
		user("passwd", "$6$rounds=4096$salt$"+strings.Repeat("a", 86)), user("passwd", "$y$j9T$salt$hash./A"), user("passwd", "$2b$12$abcdefghijklmnopqrstuv"),
		user("passwd", "$argon2id$v=19$m=1,t=1,p=1$a$b"), user("passwd", "!"), user("passwd", "*"), user("passwd", "!!"), user("passwd", "rl.3StKT.4T8M"),
		user("plain_text_passwd", "hunter2"), user("hashed_passwd", "$5$a$b"), "password: hunter2\n",
		"chpasswd: {users: [{name: a, password: hunter2, type: text}, {name: b, type: RANDOM}, {name: c, password: $6$a$b}]}\n",
	} {
		assert.Empty(t, Parse("#cloud-config\n"+good).Lint(), good)
	}
}

func TestAPasswordBehindAMarkIsSeen(t *testing.T) {
	assert.True(t, Parse("\ufeff#cloud-config\npassword: hunter2\n").HoldsPassword())
}
