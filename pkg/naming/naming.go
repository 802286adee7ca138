// Package naming makes the names of the objects behind a VirtualServer.
package naming

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	// VMNamePrefix is what the name of every VirtualMachine of ours starts with.
	VMNamePrefix = "managed-virtualserver-"
	// hashDigits is the number of hexadecimal digits after the prefix. The guide shows five. They give about a million
	// names per namespace, so collisions do happen; the caller counts them and asks again.
	hashDigits = 5
)

// VMName returns the name of the VirtualMachine, DataVolume, Service and Secret of a VirtualServer: VMNamePrefix and five
// hexadecimal digits. It depends on nothing but its arguments. collisionCount starts at 0 and goes up by one whenever the
// name turns out to be taken by an object of somebody else.
func VMName(name string, uid types.UID, collisionCount int32) string {
	// None of the parts can hold a slash, so different parts never give the same text.
	return VMNamePrefix + Hash(fmt.Sprintf("%s/%s/%d", name, uid, collisionCount), hashDigits)
}

// LabelValue returns the name as a label value: the name itself, or, if it is longer than the 63 characters that
// Kubernetes allows in a label value, its start and a hash.
func LabelValue(name string) string {
	if len(name) <= validation.LabelValueMaxLength {
		return name
	}
	return Shorten(name, validation.LabelValueMaxLength)
}

// Shorten returns a text of at most limit bytes that stands for the name: the name itself if it is short enough, else its
// start, a dash and eight hexadecimal digits of its hash. limit is at least 10.
func Shorten(name string, limit int) string {
	const digits = 8
	if len(name) <= limit {
		return name
	}
	return name[:limit-digits-1] + "-" + Hash(name, digits)
}

// Hash returns the first digits of the SHA-256 of the text, in hexadecimal. digits is at most 64.
func Hash(text string, digits int) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:digits]
}

// PortName returns the name of a port of a Service that its user gave none, such as tcp-80.
func PortName(protocol corev1.Protocol, number int32) string {
	return fmt.Sprintf("%s-%d", strings.ToLower(string(protocol)), number)
}
