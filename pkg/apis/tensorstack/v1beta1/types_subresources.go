package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StartOptions are the options of the operation start.
type StartOptions struct {
	metav1.TypeMeta `json:",inline"`

	// paused starts the machine paused.
	// +optional
	Paused bool `json:"paused,omitempty"`
	// dryRun checks the operation without carrying it out if it is ["All"].
	// +optional
	// +listType=atomic
	DryRun []string `json:"dryRun,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StopOptions are the options of the operation stop.
type StopOptions struct {
	metav1.TypeMeta `json:",inline"`

	// gracePeriodSeconds is how long the guest may take to shut down before it is killed; 0 kills it at once.
	// Defaults to the grace period of the machine, 30 seconds unless changed.
	// +optional
	GracePeriodSeconds *int64 `json:"gracePeriodSeconds,omitempty"`
	// force kills the guest at once, like gracePeriodSeconds 0.
	// +optional
	Force bool `json:"force,omitempty"`
	// dryRun checks the operation without carrying it out if it is ["All"].
	// +optional
	// +listType=atomic
	DryRun []string `json:"dryRun,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// RestartOptions are the options of the operation restart.
type RestartOptions struct {
	metav1.TypeMeta `json:",inline"`

	// gracePeriodSeconds may only be 0, which kills the guest at once. Leave it out for a graceful restart.
	// +optional
	GracePeriodSeconds *int64 `json:"gracePeriodSeconds,omitempty"`
	// force kills the guest at once, like gracePeriodSeconds 0.
	// +optional
	Force bool `json:"force,omitempty"`
	// dryRun checks the operation without carrying it out if it is ["All"].
	// +optional
	// +listType=atomic
	DryRun []string `json:"dryRun,omitempty"`
}

// +k8s:conversion-gen:explicit-from=net/url.Values
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ConsoleOptions are the query options of the stream console.
type ConsoleOptions struct {
	metav1.TypeMeta `json:",inline"`

	// wait is how many seconds to wait for a machine that is starting, at most 300. Defaults to 0.
	// +optional
	Wait int64 `json:"wait,omitempty"`
	// takeOver ends the session of whoever is connected now.
	// +optional
	TakeOver bool `json:"takeOver,omitempty"`
	// preserveSession refuses to connect while somebody is connected, be it oneself. It excludes takeOver.
	// +optional
	PreserveSession bool `json:"preserveSession,omitempty"`
}

// +k8s:conversion-gen:explicit-from=net/url.Values
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// VNCOptions are the query options of the stream vnc.
type VNCOptions struct {
	metav1.TypeMeta `json:",inline"`

	// wait is how many seconds to wait for a machine that is starting, at most 300. Defaults to 0.
	// +optional
	Wait int64 `json:"wait,omitempty"`
	// takeOver ends the session of whoever is connected now.
	// +optional
	TakeOver bool `json:"takeOver,omitempty"`
	// preserveSession refuses to connect while somebody else is connected, as KubeVirt's option of that name does.
	// +optional
	PreserveSession bool `json:"preserveSession,omitempty"`
	// path is "screenshot" for a picture of the screen, and empty for the stream.
	// +optional
	Path string `json:"path,omitempty"`
	// moveCursor moves the cursor before the screenshot, which wakes a screen saver.
	// +optional
	MoveCursor bool `json:"moveCursor,omitempty"`
}

// +k8s:conversion-gen:explicit-from=net/url.Values
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// PortForwardOptions are the path and query options of the stream portforward.
type PortForwardOptions struct {
	metav1.TypeMeta `json:",inline"`

	// path is the port, and optionally the protocol tcp or udp after a slash: "22" or "53/udp".
	// +optional
	Path string `json:"path,omitempty"`
	// wait is how many seconds to wait for a machine that is starting, at most 300. Defaults to 0.
	// +optional
	Wait int64 `json:"wait,omitempty"`
}

// +k8s:conversion-gen:explicit-from=net/url.Values
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// USBRedirOptions are the query options of the stream usbredir.
type USBRedirOptions struct {
	metav1.TypeMeta `json:",inline"`

	// wait is how many seconds to wait for a machine that is starting, at most 300. Defaults to 0.
	// +optional
	Wait int64 `json:"wait,omitempty"`
}

// +k8s:conversion-gen:explicit-from=net/url.Values
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ProxyOptions are the path options of subresources whose request is passed on to KubeVirt.
type ProxyOptions struct {
	metav1.TypeMeta `json:",inline"`

	// path is what follows the name of the subresource.
	// +optional
	Path string `json:"path,omitempty"`
}
