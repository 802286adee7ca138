package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

// run is the command without its process.
func run(ctx context.Context, arguments []string, out io.Writer) error {
	if len(arguments) == 0 {
		return fmt.Errorf("say what to do: build or push")
	}
	flags := flag.NewFlagSet("images "+arguments[0], flag.ContinueOnError)
	output := flags.String("output", "_output/images", "folder of the results")
	switch arguments[0] {
	case "build":
		source := flags.String("source", ".", "folder of the repository")
		platforms := flags.String("platforms", "linux/amd64,linux/arm64", "operating systems and architectures")
		if err := parse(flags, arguments[1:]); err != nil {
			return err
		}
		return build(ctx, *source, *output, strings.Split(*platforms, ","), out)
	case "push":
		to := flags.String("to", "", "HOST/NAME[:TAG] of the image; without a tag, the version")
		authority := flags.String("ca-file", "", "PEM certificates to trust besides the system's")
		if err := parse(flags, arguments[1:]); err != nil {
			return err
		}
		return push(ctx, *output, *to, *authority, out)
	default:
		return fmt.Errorf("unknown command %q: build or push", arguments[0])
	}
}

func parse(flags *flag.FlagSet, arguments []string) error {
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return nil
}
