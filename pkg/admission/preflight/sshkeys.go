package preflight

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
)

// keyProblems says what is wrong with a Secret of public keys. It never shows a value: one may be a private key.
func keyProblems(secret *corev1.Secret) []string {
	var problems []string
	keys := 0
	for _, name := range slices.Sorted(maps.Keys(secret.Data)) {
		value := secret.Data[name]
		if bytes.Contains(value, []byte("PRIVATE KEY-----")) {
			problems = append(problems, fmt.Sprintf("the key %q of the Secret %q is a private key, which every user of the guest could read: "+
				"put the public one there, from the file that ends in .pub", name, secret.Name))
			continue
		}
		for number, line := range bytes.Split(value, []byte{'\n'}) {
			line = bytes.TrimSpace(line)
			if len(line) == 0 || line[0] == '#' {
				continue
			}
			if _, _, _, _, err := ssh.ParseAuthorizedKey(line); err != nil {
				problems = append(problems, fmt.Sprintf("line %d of the key %q of the Secret %q is no public key as it stands in an "+
					"authorized_keys file", number+1, name, secret.Name))
				break
			}
			keys++
		}
	}
	if keys == 0 && len(problems) == 0 {
		problems = append(problems, fmt.Sprintf("the Secret %q holds no public key", secret.Name))
	}
	return problems
}
