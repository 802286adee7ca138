package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"tensorstack.dev/virtualserver/test/controlplane"
)

const (
	exampleName      = "vs-example"
	exampleNamespace = "default"
	exampleTimeout   = 5 * time.Minute
)

// showExample applies an example, shows how it gets to Running, and says what to do next: the guide's first example, or on
// real nodes a Debian, until its login prompt.
func showExample(ctx context.Context, plane *controlplane.ControlPlane, dir string, out io.Writer) error {
	if plane.RealNodes() {
		return showDebian(ctx, plane, out)
	}
	for _, file := range []string{"prerequisites.yaml", exampleName + ".yaml"} {
		path := filepath.Join(dir, file)
		manifest, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("example: %w", err)
		}
		if err := plane.Apply(ctx, manifest); err != nil {
			return fmt.Errorf("example %s: %w", path, err)
		}
		fmt.Fprintf(out, "applied %s\n", path)
	}
	machine, err := waitRunning(ctx, plane, out)
	if err != nil {
		return err
	}
	printAccess(out, plane)
	printOperations(out, plane, machine)
	return nil
}

// waitRunning prints each change of the printed status until it is Running. It returns
// the name of the KubeVirt machine.
func waitRunning(ctx context.Context, plane *controlplane.ControlPlane, out io.Writer) (string, error) {
	client, err := dynamic.NewForConfig(plane.AdminConfig())
	if err != nil {
		return "", err
	}
	resource := schema.GroupVersionResource{Group: "tensorstack.dev", Version: "v1beta1", Resource: "virtualservers"}
	ctx, cancel := context.WithTimeoutCause(ctx, exampleTimeout,
		fmt.Errorf("VirtualServer %s is not Running after %v", exampleName, exampleTimeout))
	defer cancel()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	begin, last := time.Now(), ""
	for {
		object, err := client.Resource(resource).Namespace(exampleNamespace).Get(ctx, exampleName, metav1.GetOptions{})
		if err != nil && ctx.Err() == nil {
			return "", fmt.Errorf("example: %w", err)
		}
		if err == nil {
			line := statusLine(object)
			if line != last {
				fmt.Fprintf(out, "[%5.1fs] %s: %s\n", time.Since(begin).Seconds(), exampleName, line)
				last = line
			}
			if field(object, "printableStatus") == "Running" {
				return field(object, "vm", "name"), nil
			}
		}
		select {
		case <-ctx.Done():
			return "", errors.Join(context.Cause(ctx), fmt.Errorf("last seen: %s; logs are in %s/logs", last, plane.StateDir()))
		case <-ticker.C:
		}
	}
}

// statusLine is one line for a person: the status, and what it waits for.
func statusLine(object *unstructured.Unstructured) string {
	line := field(object, "printableStatus")
	if line == "" {
		line = "accepted"
	}
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, item := range conditions {
		condition, _ := item.(map[string]any)
		if condition["type"] == "DataImported" && condition["status"] != "True" {
			line += fmt.Sprintf(" (disk import: %v %v)", condition["reason"], condition["message"])
		}
	}
	return line
}

func field(object *unstructured.Unstructured, path ...string) string {
	value, _, _ := unstructured.NestedString(object.Object, append([]string{"status"}, path...)...)
	return value
}
