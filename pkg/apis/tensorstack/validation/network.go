package validation

import (
	"net"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/naming"
)

// maxNameservers is a limit of KubeVirt's admission, which is tighter than that of a pod.
const maxNameservers = 3

const (
	// MaxPorts is the largest number of ports of one protocol.
	MaxPorts = 512
	// reservedMACAddress is the address of the bridge inside KubeVirt's masquerade network.
	reservedMACAddress = "02:00:00:00:00:00"
)

var dnsPolicies = []corev1.DNSPolicy{
	corev1.DNSClusterFirst, corev1.DNSClusterFirstWithHostNet, corev1.DNSDefault, corev1.DNSNone,
}

func validateNetwork(network *tensorstack.Network, path *field.Path) field.ErrorList {
	errs := validatePorts(network.TCP, path.Child("tcp"))
	errs = append(errs, validatePorts(network.UDP, path.Child("udp"))...)
	errs = append(errs, validateNamedPorts(network, path.Child("ports"))...)
	errs = append(errs, validateMACAddress(network.MACAddress, path.Child("macAddress"))...)
	errs = append(errs, validateEnum(network.DNSPolicy, dnsPolicies, path.Child("dnsPolicy"))...)
	return append(errs, validateDNSConfig(network, path.Child("dnsConfig"))...)
}

func validatePorts(ports []int32, path *field.Path) field.ErrorList {
	if len(ports) > MaxPorts {
		return field.ErrorList{field.TooMany(path, len(ports), MaxPorts)}
	}
	var errs field.ErrorList
	seen := sets.New[int32]()
	for i, port := range ports {
		if port < 1 || port > 65535 {
			errs = append(errs, field.Invalid(path.Index(i), port, "must be a port from 1 to 65535"))
		} else if seen.Has(port) {
			errs = append(errs, field.Duplicate(path.Index(i), port))
		}
		seen.Insert(port)
	}
	return errs
}

// validateNamedPorts checks the ports with names beside those without, which share the Service.
func validateNamedPorts(network *tensorstack.Network, path *field.Path) field.ErrorList {
	if len(network.Ports) > MaxPorts {
		return field.ErrorList{field.TooMany(path, len(network.Ports), MaxPorts)}
	}
	names, numbers := sets.New[string](), map[corev1.Protocol]sets.Set[int32]{
		corev1.ProtocolTCP: sets.New(network.TCP...), corev1.ProtocolUDP: sets.New(network.UDP...),
	}
	for _, port := range network.TCP {
		names.Insert(naming.PortName(corev1.ProtocolTCP, port))
	}
	for _, port := range network.UDP {
		names.Insert(naming.PortName(corev1.ProtocolUDP, port))
	}
	var errs field.ErrorList
	for i, port := range network.Ports {
		at := path.Index(i)
		switch messages := validation.IsDNS1123Label(port.Name); {
		case port.Name == "":
			errs = append(errs, field.Required(at.Child("name"), "give it a name, such as http"))
		case len(messages) > 0:
			errs = append(errs, field.Invalid(at.Child("name"), port.Name, strings.Join(messages, "; ")))
		case names.Has(port.Name):
			errs = append(errs, field.Duplicate(at.Child("name"), port.Name))
		}
		names.Insert(port.Name)
		taken, supported := numbers[port.Protocol]
		switch {
		case !supported:
			errs = append(errs, field.NotSupported(at.Child("protocol"), port.Protocol, []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP}))
			continue
		case port.Port < 1 || port.Port > 65535:
			errs = append(errs, field.Invalid(at.Child("port"), port.Port, "must be a port from 1 to 65535"))
		case taken.Has(port.Port):
			errs = append(errs, field.Duplicate(at.Child("port"), port.Port))
		}
		taken.Insert(port.Port)
	}
	return errs
}

func validateMACAddress(address string, path *field.Path) field.ErrorList {
	if address == "" {
		return nil
	}
	parsed, err := net.ParseMAC(address)
	if err != nil || len(parsed) != 6 || strings.Count(address, ":") != 5 && strings.Count(address, "-") != 5 {
		return field.ErrorList{field.Invalid(path, address, "must be six bytes in hexadecimal with colons or dashes, such as "+
			"02:00:00:4c:1f:07 or 02-00-00-4C-1F-07, or empty for a random address at every start")}
	}
	switch {
	case parsed[0]&1 == 1:
		return field.ErrorList{field.Invalid(path, address, "must be the address of one machine: this one is a multicast "+
			"address, because its first byte is odd")}
	case parsed.String() == reservedMACAddress, parsed.String() == "00:00:00:00:00:00":
		return field.ErrorList{field.Invalid(path, address, "is reserved: choose another, such as 02:00:00:4c:1f:07")}
	}
	return nil
}

func validateDNSConfig(network *tensorstack.Network, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	config := network.DNSConfig
	if network.DNSPolicy == corev1.DNSNone && (config == nil || len(config.Nameservers) == 0) {
		errs = append(errs, field.Required(path.Child("nameservers"), "dnsPolicy None needs at least one nameserver"))
	}
	if config == nil {
		return errs
	}
	nameservers := path.Child("nameservers")
	if len(config.Nameservers) > maxNameservers {
		errs = append(errs, field.TooMany(nameservers, len(config.Nameservers), maxNameservers))
	} else {
		for i, server := range config.Nameservers {
			if net.ParseIP(server) == nil {
				errs = append(errs, field.Invalid(nameservers.Index(i), server, "must be an IP address, such as 192.0.2.53"))
			}
		}
	}
	errs = append(errs, validateSearches(config.Searches, path.Child("searches"))...)
	for i, option := range config.Options {
		if option.Name == "" {
			errs = append(errs, field.Required(path.Child("options").Index(i).Child("name"), "name a resolver option, such as ndots"))
		}
	}
	return errs
}
