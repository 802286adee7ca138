package validation

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

func TestSSHKeys(t *testing.T) {
	keys := func(secret string, users ...string) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) {
			spec.SSHKeys = &tensorstack.SSHKeys{SecretRef: corev1.LocalObjectReference{Name: secret}, Users: users}
		}
	}
	const secret, users = "spec.sshKeys.secretRef.name ", "spec.sshKeys.users"
	many := strings.Split(strings.Repeat("u,", MaxSSHUsers)+"u", ",")
	checkRules(t, map[string]rule{
		"for the default user":   {keys("my-keys"), nil},
		"for users":              {keys("my-keys", "ubuntu", "ann.b_c@example.com", "_svc", "0"), nil},
		"longest name":           {keys(strings.Repeat("k", 51)), nil},
		"no Secret":              {keys(""), []string{secret + "Required"}},
		"bad Secret":             {keys("My Keys"), []string{secret + "name of a Secret"}},
		"Secret with a dot":      {keys("my.keys"), []string{secret + "no dot"}},
		"Secret too long":        {keys(strings.Repeat("k", 52)), []string{secret + "at most 51"}},
		"user without a name":    {keys("k", ""), []string{users + "[0] name of a user"}},
		"user as an option":      {keys("k", "a", "--help"), []string{users + "[1] name of a user"}},
		"user with a slash":      {keys("k", "../root"), []string{users + "[0] name of a user"}},
		"user with a line break": {keys("k", "a\nb"), []string{users + "[0] name of a user"}},
		"user too long":          {keys("k", strings.Repeat("u", 64)), []string{users + "[0] name of a user"}},
		"user twice":             {keys("k", "a", "b", "a"), []string{users + "[2] Duplicate"}},
		"too many users":         {keys("k", many...), []string{users + " Too many"}},
		"the name of a disk is that of KubeVirt's volume": {func(spec *tensorstack.VirtualServerSpec) {
			keys("k")(spec)
			spec.Storage.AdditionalDisks = []tensorstack.AdditionalDisk{{Name: "k-access-cred", VolumeSource: tensorstack.VolumeSource{
				ConfigMap: &tensorstack.ConfigMapSource{Name: "c"}}}}
		}, []string{secret + "rename one"}},
		"the name of a filesystem is that of KubeVirt's volume": {func(spec *tensorstack.VirtualServerSpec) {
			keys("k")(spec)
			spec.Storage.Filesystems = []tensorstack.Filesystem{{Name: "k-access-cred", VolumeSource: tensorstack.VolumeSource{
				ConfigMap: &tensorstack.ConfigMapSource{Name: "c"}}}}
		}, []string{secret + "rename one"}},
	})
}

// Keys that cloud-init would give to nobody are warned of.
func TestWarningsOfKeysThatReachNobody(t *testing.T) {
	for userData, warned := range map[string]bool{
		"":                                 false,
		"#cloud-config\npackages: [vim]\n": false,
		"#cloud-config\nusers: [default, {name: ann}]\n":         false,
		"#cloud-config\nusers: [{name: default}, {name: ann}]\n": false,
		"#cloud-config\nusers: default, ann\n":                   false,
		"#cloud-config\nusers: {default: true, ann: {}}\n":       false,
		"#cloud-config\nuser: ann\nusers: [{name: bob}]\n":       false,
		"#!/bin/sh\necho users:\n":                               false,
		"#cloud-config\nusers: [{name: ann}]\n":                  true,
		"#cloud-config\nusers: []\n":                             true,
		"#cloud-config\nusers: {ann: {}}\n":                      true,
		"#cloud-config\nallow_public_ssh_keys: false\n":          true,
	} {
		for _, users := range [][]string{nil, {"ann"}} {
			vs := valid()
			vs.Spec.CloudInit = userData
			vs.Spec.SSHKeys = &tensorstack.SSHKeys{SecretRef: corev1.LocalObjectReference{Name: "k"}, Users: users}
			found := slices.ContainsFunc(Warnings(vs), func(text string) bool { return strings.HasPrefix(text, "spec.sshKeys: nobody gets the keys") })
			assert.Equal(t, warned && users == nil, found, "%q %v: %v", userData, users, Warnings(vs))
		}
	}
}
