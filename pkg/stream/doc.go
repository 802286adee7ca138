// Package stream carries the streams and the passed-on operations of a VirtualServer to KubeVirt: console, vnc,
// portforward and usbredir, and pause, guestosinfo and their like.
//
// KubeVirt is reached through kube-apiserver with the server's own identity, because virt-api trusts nobody else. So the
// user is authorized here, and nothing that a client sends but the body, the listed query options and the frames of
// a stream travels on.
//
// A stream is two websockets, one to the client and one to KubeVirt, with a relay of messages between them. A splice of
// bytes would be simpler, but it can neither ping an idle peer nor say why it ends.
package stream
