package importurl

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Config says which hosts a root disk may be imported from. An entry is a host name, a host name after "*." for all names
// below it, an IP address, or a range of addresses such as 10.0.0.0/8.
type Config struct {
	// DeniedHosts are refused in addition to what is always refused: this machine and its link (loopback and link-local
	// addresses, localhost), the metadata services of clouds, and the names of Services in the cluster.
	DeniedHosts []string
	// AllowedHosts are allowed even if they are denied by default or by DeniedHosts.
	AllowedHosts []string
}

// AddFlags adds the flags of the configuration.
func (c *Config) AddFlags(flags *pflag.FlagSet) {
	flags.StringSliceVar(&c.DeniedHosts, "import-url-denied-hosts", c.DeniedHosts, "Hosts that no root disk may be imported "+
		"from, in addition to loopback, link-local and metadata addresses and names of Services in the cluster: host names, "+
		"\"*.\" and a domain, IP addresses, or ranges such as 10.0.0.0/8. The hosts that names resolve to are not looked at: "+
		"use a NetworkPolicy too.")
	flags.StringSliceVar(&c.AllowedHosts, "import-url-allowed-hosts", c.AllowedHosts, "Hosts that a root disk may be imported "+
		"from although they are denied by default or by --import-url-denied-hosts, in the same form.")
}

// Validate returns what is wrong with the configuration.
func (c *Config) Validate() []error {
	var errs []error
	if _, err := newHosts(c.DeniedHosts); err != nil {
		errs = append(errs, fmt.Errorf("--import-url-denied-hosts: %w", err))
	}
	if _, err := newHosts(c.AllowedHosts); err != nil {
		errs = append(errs, fmt.Errorf("--import-url-allowed-hosts: %w", err))
	}
	return errs
}

// hosts is a set of hosts.
type hosts struct {
	names    map[string]bool
	suffixes []string
	ranges   []netip.Prefix
}

func newHosts(entries []string) (*hosts, error) {
	set := &hosts{names: map[string]bool{}}
	for _, entry := range entries {
		if err := set.add(normalize(strings.TrimSpace(entry))); err != nil {
			return nil, err
		}
	}
	return set, nil
}

func (h *hosts) add(entry string) error {
	if prefix, err := netip.ParsePrefix(entry); err == nil {
		h.ranges = append(h.ranges, prefix.Masked())
		return nil
	}
	if address, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
		address = address.Unmap().WithZone("")
		h.ranges = append(h.ranges, netip.PrefixFrom(address, address.BitLen()))
		return nil
	}
	name, wildcard := strings.CutPrefix(entry, "*.")
	if messages := validation.IsDNS1123Subdomain(name); len(messages) > 0 {
		return fmt.Errorf("%q is not a host name, an IP address or a range of addresses: %s", entry, strings.Join(messages, "; "))
	}
	if wildcard {
		h.suffixes = append(h.suffixes, "."+name)
	} else {
		h.names[name] = true
	}
	return nil
}

// hold says whether the host is in the set. addresses are those that the host itself spells out.
func (h *hosts) hold(host string, addresses []netip.Addr) bool {
	if h.names[host] {
		return true
	}
	for _, suffix := range h.suffixes {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	for _, address := range addresses {
		for _, prefix := range h.ranges {
			if prefix.Contains(address) {
				return true
			}
		}
	}
	return false
}

// normalize makes equal hosts equal text.
func normalize(host string) string {
	return strings.TrimRight(strings.ToLower(host), ".")
}
