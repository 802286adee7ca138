// Package validation says which VirtualServers are valid. Whatever it accepts, the admission of KubeVirt 1.7 and of CDI
// 1.65 accepts too, so that nobody learns of a mistake only from a machine that never starts.
package validation
