// Command node-images makes the images and guests of the lab's real node from Debian's packages.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"tensorstack.dev/virtualserver/test/realnode/images"
)

func main() {
	workspace := &images.Workspace{Progress: os.Stdout, Started: time.Now()}
	flag.StringVar(&workspace.Output, "output", "_output/node", "folder for the results")
	flag.StringVar(&workspace.Programs, "programs", "_output/bin", "folder with the programs that go into the images")
	flag.StringVar(&workspace.Source, "source", ".", "root of the repository")
	flag.StringVar(&workspace.Suite, "suite", "trixie", "Debian release")
	flag.StringVar(&workspace.Mirror, "mirror", "", "Debian mirror (default: the one in this machine's apt sources)")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "Usage: node-images [flags] TARGET...\n\n%s\nFlags:\n", images.TargetHelp())
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := workspace.Make(flag.Args()...); err != nil {
		fmt.Fprintln(os.Stderr, "node-images:", err)
		os.Exit(1)
	}
}
