// Command images makes the product's container image without a container daemon: a static program on an empty root, for two
// architectures, the same bytes from the same commit, with a list of what is in it.
//
//	images build --output DIR    writes an OCI layout, archives for "docker load" and the lists (SPDX)
//	images push --output DIR --to HOST/NAME[:TAG]    sends what build has written to a registry
//
// It is a module of its own, so that what it needs is no dependency of the product.
package main
