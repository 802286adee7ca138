package validation

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

// credentialWords are what the names of headers and query parameters that carry a credential are made of, such as
// X-Auth-Token, Ocp-Apim-Subscription-Key, X-Amz-Signature, sig and access_token.
var credentialWords = sets.New("accesskey", "accesskeyid", "apikey", "auth", "authentication", "authorization", "bearer", "cookie",
	"credential", "credentials", "jwt", "key", "passwd", "password", "pwd", "secret", "session", "sig", "signature", "token")

// credentialWarnings warns of credentials in a source, which everyone can read who can read the VirtualServer. They never
// repeat one.
func credentialWarnings(from *cdiv1.DataVolumeSource, path *field.Path) []string {
	const readable = "which everyone who can read this VirtualServer can read"
	var warnings []string
	if from.HTTP != nil {
		for i, header := range from.HTTP.ExtraHeaders {
			if name, _, _ := strings.Cut(header, ":"); namesCredential(name) {
				warnings = append(warnings, fmt.Sprintf("%s: the header %s carries a credential, %s: put the whole line into a Secret and name "+
					"that in %s", path.Child("http", "extraHeaders").Index(i), strings.TrimSpace(name), readable, path.Child("http", "secretExtraHeaders")))
			}
		}
	}
	for _, address := range SourceURLs(from, path) {
		parsed, err := url.Parse(address.URL)
		if err != nil {
			continue
		}
		if parsed.User != nil {
			warnings = append(warnings, fmt.Sprintf("%s: holds a user name or password, %s: use secretRef", address.Path, readable))
		}
		var found []string
		for name := range parsed.Query() {
			if namesCredential(name) {
				found = append(found, name)
			}
		}
		if slices.Sort(found); len(found) > 0 {
			warnings = append(warnings, fmt.Sprintf("%s: its query carries a credential (%s), %s, and the import fails once that has run "+
				"out: use secretRef", address.Path, strings.Join(found, ", "), readable))
		}
	}
	if from.S3 != nil && strings.Contains(from.S3.URL, "?") {
		warnings = append(warnings, fmt.Sprintf("%s: what follows the question mark is not used: for a signed address take the source "+
			"http, for an access key secretRef", path.Child("s3", "url")))
	}
	return warnings
}

// namesCredential looks at the words of a name, which may be parted by case too: X-Auth-Token, access_token, AWSAccessKeyId.
func namesCredential(name string) bool {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if slices.ContainsFunc(words, credentialWords.Has) {
		return true
	}
	return slices.ContainsFunc(words, func(word string) bool {
		return slices.ContainsFunc([]string{"token", "apikey", "accesskey", "password", "signature", "secret"}, func(part string) bool {
			return strings.HasSuffix(word, part) || strings.HasSuffix(word, part+"id")
		})
	})
}
