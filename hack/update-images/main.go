// Command update-images writes the checksums of the catalogue of images (pkg/images/default.yaml), from the lists that the vendors
// sign. Nobody writes a checksum by hand: one that is in no signed list, or in a list whose signature does not verify, is left out.
//
//	update-images --catalogue pkg/images/default.yaml --manifest artifacts/images/images.yaml --sources hack/update-images/sources.yaml
//
// It needs the network, and the vendors' keys as distributions pack them, such as ubuntu-keyring of Debian. It is a module of its
// own, so that what it needs is no dependency of the product.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, http.DefaultClient, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "update-images:", err)
		os.Exit(1)
	}
}

// requestTimeout bounds each request; the lists are small.
const requestTimeout = time.Minute

// run is the command without its process. It writes the catalogue if something has changed, also if some lists could not be had:
// their images keep no checksum, and the error names them.
func run(ctx context.Context, client *http.Client, arguments []string, out io.Writer) error {
	flags := flag.NewFlagSet("update-images", flag.ContinueOnError)
	catalogueFile := flags.String("catalogue", "pkg/images/default.yaml", "file of the catalogue")
	manifestFile := flags.String("manifest", "", "file of the ConfigMap that gets the same catalogue; none if empty")
	sourcesFile := flags.String("sources", "hack/update-images/sources.yaml", "file that says who signs what")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	sources, err := readSources(*sourcesFile)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(*catalogueFile)
	if err != nil {
		return err
	}
	var failures []error
	updated, err := updateCatalogue(text, func(address string) string {
		source, found := sources.of(address)
		if !found {
			fmt.Fprintf(out, "%s: nobody signs a list, no checksum\n", address)
			return ""
		}
		checksum, err := source.checksum(ctx, client, address)
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", address, err))
			return ""
		}
		fmt.Fprintf(out, "%s: %s\n", address, checksum)
		return checksum
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(*catalogueFile, updated, 0o644); err != nil {
		return err
	}
	if *manifestFile != "" {
		manifest, err := os.ReadFile(*manifestFile)
		if err != nil {
			return err
		}
		published, err := publish(manifest, updated)
		if err != nil {
			return fmt.Errorf("%s: %w", *manifestFile, err)
		}
		if err := os.WriteFile(*manifestFile, published, 0o644); err != nil {
			return err
		}
	}
	return errors.Join(failures...)
}
