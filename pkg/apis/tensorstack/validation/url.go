package validation

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"k8s.io/apimachinery/pkg/util/validation/field"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

const (
	// maxURL is the longest URL.
	maxURL = 4096
	// maxHost and maxHostLabel are the limits of a name in DNS (RFC 1035, 2.3.4).
	maxHost      = 253
	maxHostLabel = 63
	// maxBucket is the longest name of a bucket in Google Cloud Storage.
	maxBucket = 222
	// bucketScheme is that of a bucket in Google Cloud Storage.
	bucketScheme = "gs"
)

// validateURL checks an absolute URL with one of the schemes. Messages leave out a password in it.
func validateURL(address string, path *field.Path, schemes ...string) field.ErrorList {
	if address == "" {
		return field.ErrorList{field.Required(path, "set an address that begins with "+schemes[0]+"://")}
	}
	if len(address) > maxURL {
		return field.ErrorList{field.TooLong(path, "", maxURL)}
	}
	parsed, err := url.ParseRequestURI(address)
	switch {
	case strings.ContainsFunc(address, unicode.IsSpace):
		return field.ErrorList{field.Invalid(path, "", "must not contain a blank, which no URL does: remove it, or write %20")}
	case err != nil:
		return field.ErrorList{field.Invalid(path, "", "is not a URL: write it as "+schemes[0]+"://HOST/PATH"+whyNotURL(err))}
	case !slices.Contains(schemes, parsed.Scheme):
		return field.ErrorList{field.Invalid(path, parsed.Redacted(), "must begin with "+strings.Join(schemes, ":// or ")+"://")}
	case parsed.Scheme == cdiv1.RegistrySchemeOci:
		// An OCI archive is a file in the importer's image and has no host.
		return nil
	case parsed.Hostname() == "":
		return field.ErrorList{field.Invalid(path, parsed.Redacted(), "must name a host after "+parsed.Scheme+"://")}
	}
	problem := hostProblem(parsed.Hostname())
	if parsed.Scheme == bucketScheme {
		problem = bucketProblem(parsed.Hostname())
	} else if strings.HasPrefix(parsed.Host, "[") {
		problem = addressProblem(parsed.Hostname())
	}
	if problem == "" {
		problem = portProblem(parsed.Port())
	}
	if problem != "" {
		return field.ErrorList{field.Invalid(path, parsed.Redacted(), "cannot be reached: "+problem)}
	}
	return nil
}

// whyNotURL is the part of a parser's error that does not repeat the URL, in which there may be a password.
func whyNotURL(err error) string {
	const escape, port = "invalid URL escape", "invalid port"
	switch message := err.Error(); {
	case strings.Contains(message, escape):
		return " (a percent sign stands before two hexadecimal digits; itself it is written %25)"
	case strings.Contains(message, port):
		return " (a port is a number from 1 to 65535)"
	}
	return ""
}

// portProblem says what is wrong with a port that may be left out.
func portProblem(port string) string {
	if number, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || number == 0) {
		return "the port " + port + " must be from 1 to 65535"
	}
	return ""
}

// hostProblem says what is wrong with the name or the address of a host. Underscores are not in the standard, but names with
// them resolve. A name that ends in a number is taken for an IPv4 address by some and for a name by others, so only a
// whole address may (as https://url.spec.whatwg.org/#ends-in-a-number-checker has it).
func hostProblem(host string) string {
	if strings.HasPrefix(host, "[") {
		return addressProblem(strings.Trim(host, "[]"))
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	const advice = ", such as images.example.com or 192.0.2.10"
	ascii := host
	if strings.ContainsFunc(host, func(r rune) bool { return r > unicode.MaxASCII }) {
		var err error
		if ascii, err = idna.Lookup.ToASCII(host); err != nil {
			return "the host must be a name of DNS or an IP address" + advice
		}
	}
	labels := strings.Split(strings.TrimSuffix(ascii, "."), ".")
	if len(ascii) > maxHost+1 {
		return "the name of the host must have at most 253 characters"
	}
	for _, label := range labels {
		if !isHostLabel(label) {
			return "the host must be a name of DNS, of letters, digits and dashes between dots, or an IP address" + advice
		}
	}
	if isNumber(labels[len(labels)-1]) {
		return "a host whose name ends in a number must be a whole IPv4 address, such as 192.0.2.10"
	}
	return ""
}

func isHostLabel(label string) bool {
	if label == "" || len(label) > maxHostLabel || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
		return false
	}
	for _, r := range label {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return false
		}
	}
	return true
}

// isNumber says whether C libraries read a label as a part of an IPv4 address: in decimal, octal or hexadecimal.
func isNumber(label string) bool {
	digits := "0123456789"
	if rest, found := strings.CutPrefix(strings.ToLower(label), "0x"); found {
		label, digits = rest, digits+"abcdefABCDEF"
	}
	return strings.Trim(label, digits) == ""
}

// addressProblem is for what stands in brackets.
func addressProblem(address string) string {
	if parsed, err := netip.ParseAddr(address); err != nil || !parsed.Is6() || parsed.Zone() != "" {
		return "between brackets must be an IPv6 address without a zone, such as [2001:db8::10]"
	}
	return ""
}

// bucketProblem follows https://cloud.google.com/storage/docs/buckets#naming as far as it could not be a typing mistake.
func bucketProblem(bucket string) string {
	valid := len(bucket) >= 3 && len(bucket) <= maxBucket
	for _, r := range bucket {
		valid = valid && (r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	}
	if !valid {
		return "the name of a bucket has 3 to 222 lower-case letters, digits, '-', '_' and '.'"
	}
	return ""
}
