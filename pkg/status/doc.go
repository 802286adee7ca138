// Package status derives the status of a VirtualServer from what is observed of the objects behind it.
//
// KubeVirt's own status is not copied: it flickers between Stopped and Starting, keeps conditions of machines that are
// gone, never shows a lost node, and does not say why a guest ended. The package is pure: it reads no cluster and no clock.
package status
