// Package importurl keeps imports of root disks away from addresses that a user could not reach, but an importer inside the
// cluster can: the node itself, the metadata services of clouds, and Services of the cluster.
//
// It judges what the URL says, when it is written. A name can point anywhere by the time that the importer asks for it, and
// a server can redirect: a NetworkPolicy for importer pods is the second half of the protection.
package importurl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"

	"tensorstack.dev/virtualserver/pkg/admission/request"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/validation"
)

// PluginName is the name of the plugin.
const PluginName = "ImportURLPolicy"

// alwaysDenied are the hosts that are refused unless they are allowed.
var alwaysDenied = []string{
	// This machine and its link. The importer shares them with its node only with host networking, but a proxy may not.
	"localhost", "*.localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback",
	"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "::/128", "::1/128", "fe80::/10",
	// Metadata services that are not link-local: AWS by IPv6, Google by name, Alibaba, Oracle.
	"fd00:ec2::254", "metadata", "metadata.goog", "metadata.google.internal", "instance-data", "100.100.100.200", "192.0.0.192",
	// Services of the cluster.
	"*.svc", "*.cluster.local", "kubernetes", "kubernetes.default",
	// Multicast and broadcast.
	"224.0.0.0/4", "255.255.255.255", "ff00::/8",
}

// Register adds the plugin to those that a server can use. The configuration is read when the server is built, after flags
// have been parsed.
func Register(plugins *admission.Plugins, config *Config) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return NewPlugin(*config) })
}

// Plugin refuses URLs of hosts that no root disk may be imported from.
type Plugin struct {
	*admission.Handler
	denied, allowed *hosts
}

var _ admission.ValidationInterface = &Plugin{}

// NewPlugin returns a plugin, or an error if an entry of the configuration cannot be read.
func NewPlugin(config Config) (*Plugin, error) {
	if err := errors.Join(config.Validate()...); err != nil {
		return nil, err
	}
	denied, err := newHosts(append(slices.Clone(alwaysDenied), config.DeniedHosts...))
	if err != nil {
		return nil, err
	}
	allowed, err := newHosts(config.AllowedHosts)
	if err != nil {
		return nil, err
	}
	return &Plugin{Handler: admission.NewHandler(admission.Create, admission.Update), denied: denied, allowed: allowed}, nil
}

// Validate answers 403 for a new or changed URL whose host is denied.
func (p *Plugin) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	updated, old, ok := request.VirtualServers(a)
	if !ok {
		return nil
	}
	path := field.NewPath("spec", "storage", "root", "source")
	known := map[string]bool{}
	if old != nil {
		for _, source := range validation.SourceURLs(&old.Spec.Storage.Root.Source, path) {
			known[source.URL] = true
		}
	}
	for _, source := range validation.SourceURLs(&updated.Spec.Storage.Root.Source, path) {
		if known[source.URL] {
			continue
		}
		if host, denied := p.denies(source.URL); denied {
			return admission.NewForbidden(a, fmt.Errorf("%s: nothing may be imported from %q: use another server, or ask an "+
				"administrator to allow this host with --import-url-allowed-hosts", source.Path, host))
		}
	}
	return nil
}

// denies returns the host of a URL and whether it is denied. A URL that cannot be read is left to validation.
func (p *Plugin) denies(address string) (host string, denied bool) {
	parsed, err := url.Parse(address)
	if err != nil {
		return "", false
	}
	host = normalize(parsed.Hostname())
	if host == "" {
		return "", false
	}
	addresses := spelledAddresses(host)
	if p.allowed.hold(host, addresses) {
		return host, false
	}
	return host, p.denied.hold(host, addresses) || cannotBeName(host, addresses)
}

// cannotBeName says whether a host is neither a name nor an address that this package understands, such as 0x7f.0.0.256:
// some library might make an address of it.
func cannotBeName(host string, addresses []netip.Addr) bool {
	if len(addresses) > 0 {
		return false
	}
	last := host[strings.LastIndex(host, ".")+1:]
	// No top-level domain is a number.
	return looksNumeric(last) || strings.ContainsAny(host, ":%\\ ")
}

func looksNumeric(label string) bool {
	digits := "0123456789"
	if rest, found := strings.CutPrefix(label, "0x"); found {
		label, digits = rest, digits+"abcdef"
	}
	return strings.Trim(label, digits) == ""
}
