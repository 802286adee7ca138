//go:build !unix

package app

import (
	"context"
	"io"
)

// whileRead leaves it to the next write to notice that nobody reads the output any more.
func whileRead(ctx context.Context, _ io.Writer) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}
