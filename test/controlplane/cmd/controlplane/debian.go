package main

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"tensorstack.dev/virtualserver/test/controlplane"
)

// debianExample is applied on real nodes. Its image URL and public key are filled in.
//
//go:embed debian.yaml
var debianExample string

const (
	// imageMark and keyMark stand in the example for what only this machine knows.
	imageMark, keyMark = "IMAGE_URL", "PUBLIC_KEY"
	// loginTimeout bounds the boot of a Debian under emulation.
	loginTimeout = 15 * time.Minute
	keyFile      = "id_ed25519"
)

// showDebian applies the example with a Debian guest and follows its console until it asks who logs in.
func showDebian(ctx context.Context, plane *controlplane.ControlPlane, out io.Writer) error {
	key, err := sshKey(ctx, plane.StateDir())
	if err != nil {
		return fmt.Errorf("example: %w", err)
	}
	manifest := strings.NewReplacer(imageMark, plane.GuestURL(controlplane.DebianGuest), keyMark, key).Replace(debianExample)
	path := filepath.Join(plane.StateDir(), exampleName+".yaml")
	if err := os.WriteFile(path, []byte(manifest), 0o600); err != nil {
		return err
	}
	if err := plane.Apply(ctx, []byte(manifest)); err != nil {
		return fmt.Errorf("example: %w", err)
	}
	fmt.Fprintf(out, "applied %s\n", path)
	if _, err := waitRunning(ctx, plane, out); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nIts console, as \"kubectl vs console %s\" shows it:\n", exampleName)
	begin := time.Now()
	if err := followUntilLogin(ctx, plane, out); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n\nThe login prompt came %.0f s after Running. cloud-init goes on in the guest for some time.\n", time.Since(begin).Seconds())
	printAccess(out, plane)
	printDebianAccess(out, plane)
	return nil
}

// sshKey makes a key pair for the example and returns the public key.
func sshKey(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, keyFile)
	for _, file := range []string{path, path + ".pub"} {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
	if text, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "local-lab", "-f", path).CombinedOutput(); err != nil {
		return "", fmt.Errorf("ssh-keygen: %w: %s", err, text)
	}
	text, err := os.ReadFile(path + ".pub")
	return strings.TrimSpace(string(text)), err
}

// followUntilLogin copies the machine's console to out until a line asks for a login.
func followUntilLogin(ctx context.Context, plane *controlplane.ControlPlane, out io.Writer) error {
	ctx, cancel := context.WithTimeoutCause(ctx, loginTimeout, fmt.Errorf("no login prompt after %v", loginTimeout))
	defer cancel()
	console := exec.CommandContext(ctx, plane.Binary("kubectl-vs"), "console", exampleName)
	console.Env = append(os.Environ(), "KUBECONFIG="+plane.KubeconfigPath())
	keys, err := console.StdinPipe()
	if err != nil {
		return err
	}
	screen, err := console.StdoutPipe()
	if err != nil {
		return err
	}
	console.Stderr = out
	if err := console.Start(); err != nil {
		return fmt.Errorf("console: %w", err)
	}
	found, err := copyUntil(screen, out, "login: ")
	// The prompt is what was waited for; how the command ends is of no interest.
	_ = keys.Close()
	cancel()
	_ = console.Wait()
	if !found {
		return errors.Join(fmt.Errorf("the console ended before a login prompt: %w", context.Cause(ctx)), err)
	}
	return nil
}

// copyUntil copies until the text has come, and tells whether it did.
func copyUntil(from io.Reader, to io.Writer, text string) (bool, error) {
	reader := bufio.NewReader(from)
	recent := ""
	for {
		char, err := reader.ReadByte()
		if err != nil {
			return false, err
		}
		if _, err := to.Write([]byte{char}); err != nil {
			return false, err
		}
		recent += string(char)
		if len(recent) > len(text) {
			recent = recent[len(recent)-len(text):]
		}
		if recent == text {
			return true, nil
		}
	}
}

// printDebianAccess lists what a newcomer tries first with a guest that really runs.
func printDebianAccess(out io.Writer, plane *controlplane.ControlPlane) {
	fmt.Fprintf(out, `
Log in (user debian, password debian; Ctrl-] leaves the console):
  kubectl vs console %[1]s
  kubectl vs ssh debian@%[1]s -- -i %[2]s

Look at it:
  kubectl get virtualservers
  kubectl vs status %[1]s
  kubectl explain virtualservers.spec.storage

Stop and start it:
  kubectl vs stop %[1]s --wait
  kubectl vs start %[1]s --wait

Take the power from a node, and give it back:
  controlplane kill node-a
  controlplane start node-a
`, exampleName, filepath.Join(plane.StateDir(), keyFile))
}
