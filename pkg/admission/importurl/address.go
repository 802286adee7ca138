package importurl

import (
	"net/netip"
	"strconv"
	"strings"
)

// spelledAddresses returns the addresses that a host spells out, none for a name. Importers use C libraries, which read
// more spellings of an IPv4 address than Go does: 127.1, 0x7f000001, 2130706433. An IPv6 address that carries an IPv4
// address leads to that too.
func spelledAddresses(host string) []netip.Addr {
	if address, ok := oldIPv4(host); ok {
		return []netip.Addr{address}
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return nil
	}
	address = address.Unmap().WithZone("")
	addresses := []netip.Addr{address}
	if address.Is6() {
		addresses = append(addresses, carriedIPv4(address)...)
	}
	return addresses
}

// oldIPv4 reads one to four numbers, decimal, octal or hexadecimal, of which the last fills all remaining bytes, as
// inet_aton(3) does.
func oldIPv4(host string) (netip.Addr, bool) {
	parts := strings.Split(host, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var value uint64
	for i, part := range parts {
		limit := uint64(1) << 8
		if i == len(parts)-1 {
			limit = 1 << (8 * (4 - i))
		}
		number, ok := oldNumber(part)
		if !ok || number >= limit {
			return netip.Addr{}, false
		}
		if i == len(parts)-1 {
			value = value<<(8*(4-i)) | number
		} else {
			value = value<<8 | number
		}
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}), true
}

func oldNumber(text string) (uint64, bool) {
	base := 10
	switch {
	case strings.HasPrefix(text, "0x"):
		base, text = 16, text[2:]
	case len(text) > 1 && text[0] == '0':
		base, text = 8, text[1:]
	}
	number, err := strconv.ParseUint(text, base, 33)
	return number, err == nil && !strings.ContainsAny(text, "+_")
}

// carriedIPv4 returns the IPv4 address inside addresses of NAT64 (RFC 6052), 6to4 (RFC 3056) and of the old form ::a.b.c.d.
func carriedIPv4(address netip.Addr) []netip.Addr {
	bytes := address.As16()
	var carried []byte
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(address), netip.MustParsePrefix("::/96").Contains(address):
		carried = bytes[12:]
	case netip.MustParsePrefix("2002::/16").Contains(address):
		carried = bytes[2:6]
	default:
		return nil
	}
	return []netip.Addr{netip.AddrFrom4([4]byte(carried))}
}
