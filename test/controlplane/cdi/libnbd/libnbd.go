// Package libnbd stands in for the Go binding of libnbd, which cannot be had
// from the module proxy and needs a C library. CDI uses it only to read disks of
// VMware (source vddk), which nothing here has: such an import fails at once and
// says why, every other kind never gets here.
package libnbd

// Flags and states as the NBD protocol numbers them.
const (
	CMD_FLAG_REQ_ONE CmdFlag = 1 << 3 //nolint:revive // The binding's own spelling.
	STATE_HOLE       uint32  = 1 << 0 //nolint:revive // The binding's own spelling.
	STATE_ZERO       uint32  = 1 << 1 //nolint:revive // The binding's own spelling.
)

type (
	// CmdFlag modifies a request.
	CmdFlag uint32
	// ExtentCallback receives the extents of a range.
	ExtentCallback func(metacontext string, offset uint64, entries []uint32, err *int) int
	// PreadOptargs is what a read may be given besides.
	PreadOptargs struct {
		FlagsSet bool
		Flags    CmdFlag
	}
	// BlockStatusOptargs is what a question for extents may be given besides.
	BlockStatusOptargs struct {
		FlagsSet bool
		Flags    CmdFlag
	}
	// LibnbdError is the error of every call.
	LibnbdError struct{ Op string }
	// Libnbd is a connection; there never is one.
	Libnbd struct{}
)

// Error says what failed and why.
func (e *LibnbdError) Error() string { return e.Op + ": built without libnbd" }

// Create always fails.
func Create() (*Libnbd, error) { return nil, &LibnbdError{Op: "create"} }

// AddMetaContext always fails.
func (*Libnbd) AddMetaContext(string) error { return &LibnbdError{Op: "add_meta_context"} }

// ConnectUri always fails.
func (*Libnbd) ConnectUri(string) error { return &LibnbdError{Op: "connect_uri"} } //nolint:revive // The binding's own spelling.

// GetSize always fails.
func (*Libnbd) GetSize() (uint64, error) { return 0, &LibnbdError{Op: "get_size"} }

// Pread always fails.
func (*Libnbd) Pread([]byte, uint64, *PreadOptargs) error { return &LibnbdError{Op: "pread"} }

// BlockStatus always fails.
func (*Libnbd) BlockStatus(uint64, uint64, ExtentCallback, *BlockStatusOptargs) error {
	return &LibnbdError{Op: "block_status"}
}

// Close has nothing to close.
func (*Libnbd) Close() *LibnbdError { return nil }
