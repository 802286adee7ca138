// Package scratch decides what becomes of the copies that a machine writes to in place of a claim: an ephemeral claim that is
// a filesystem is copied for each run of the machine, and the copy goes with the run. It does not call anything; the
// controller carries out one step after another.
//
// Each run has a copy under a name of its own, which makes the promise hold that no run sees what another has written. The
// template of the machine names the claim that the next run will use. As soon as an instance has been made from it, the
// template gets another name, and only after that is the copy made under the name that the instance has, which waits for it
// until then. So whenever a copy exists, nothing that starts later can use it: whatever dies, and whenever.
//
// A copy belongs to its instance by an owner reference. Kubernetes removes it after the instance, whether the product runs,
// has lost its store, or is not there any more.
package scratch
