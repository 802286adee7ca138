package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// Limits of KubeVirt's admission on a machine's search domains. They are tighter than those of a pod today.
const (
	maxSearchDomains    = 6
	maxSearchCharacters = 256
)

// maxSearchBytes is how long the list of search domains may be as an option of DHCP (RFC 3397), in which a domain takes two
// bytes more than its text. The launcher of the machine gives up if it is longer (kubevirt, pkg/network/dhcp/server).
const maxSearchBytes = 255

// validateSearches keeps the rules of KubeVirt's admission and those of the launcher, which nobody hears of until the
// machine does not start: it takes a label of at most 63 characters, and a last label that begins with a letter.
func validateSearches(searches []string, path *field.Path) field.ErrorList {
	if len(searches) > maxSearchDomains {
		return field.ErrorList{field.TooMany(path, len(searches), maxSearchDomains)}
	}
	var errs field.ErrorList
	if length := len(strings.Join(searches, " ")); length > maxSearchCharacters {
		errs = append(errs, field.Forbidden(path, fmt.Sprintf("is %d characters long with a space between the domains and may "+
			"have at most %d", length, maxSearchCharacters)))
	} else if length := searchBytes(searches); length > maxSearchBytes {
		errs = append(errs, field.Forbidden(path, fmt.Sprintf("takes %d bytes in the guest's DHCP lease, two more for each domain "+
			"than its characters, and may take at most %d", length, maxSearchBytes)))
	}
	for i, search := range searches {
		if message := searchProblem(search); message != "" {
			errs = append(errs, field.Invalid(path.Index(i), search, message))
		}
	}
	return errs
}

func searchProblem(search string) string {
	const example = ", such as example.com"
	if messages := validation.IsDNS1123Subdomain(search); len(messages) > 0 {
		return strings.Join(messages, "; ")
	}
	labels := strings.Split(search, ".")
	for _, label := range labels {
		if len(label) > validation.DNS1123LabelMaxLength {
			return fmt.Sprintf("must have at most %d characters between its dots", validation.DNS1123LabelMaxLength)
		}
	}
	if last := labels[len(labels)-1]; last[0] < 'a' || last[0] > 'z' {
		return "must be a domain whose last part begins with a letter" + example + ": an IP address of a DNS server belongs into nameservers"
	}
	return ""
}

func searchBytes(searches []string) int {
	length := 0
	for _, search := range searches {
		length += len(search) + 2
	}
	return length
}

// dnsWarnings tells what of a DNS configuration never reaches the guest, and when the cluster's own domains may be too many.
func dnsWarnings(network *tensorstack.Network, namespace string, path *field.Path) []string {
	config := network.DNSConfig
	if config == nil {
		return nil
	}
	var warnings []string
	if len(config.Options) > 0 {
		var names []string
		for _, option := range config.Options {
			names = append(names, fmt.Sprintf("%q", option.Name))
		}
		warnings = append(warnings, fmt.Sprintf("%s: the guest does not get %s, because DHCP carries nameservers and searches only: set "+
			"resolver options inside the guest, such as by cloud-init", path.Child("dnsConfig", "options"), strings.Join(names, ", ")))
	}
	cluster := network.DNSPolicy == corev1.DNSClusterFirst || network.DNSPolicy == corev1.DNSClusterFirstWithHostNet
	if own := searchBytes(config.Searches); cluster && len(config.Searches) > 0 && own <= maxSearchBytes {
		const domain = "cluster.local"
		all := own + searchBytes([]string{namespace + ".svc." + domain, "svc." + domain, domain})
		if all > maxSearchBytes {
			warnings = append(warnings, fmt.Sprintf("%s: with the domains of the cluster itself they take %d bytes in the guest's DHCP lease, and "+
				"the machine does not start if that is more than %d: leave some out, or set dnsPolicy: None",
				path.Child("dnsConfig", "searches"), all, maxSearchBytes))
		}
	}
	return warnings
}
