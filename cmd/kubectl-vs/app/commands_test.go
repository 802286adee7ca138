package app

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"tensorstack.dev/virtualserver/cmd/kubectl-vs/await"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func TestEveryCommandSaysWhatItDoesAndHow(t *testing.T) {
	root := NewCommand(discard())
	require.Len(t, root.Commands(), 27)
	for _, command := range root.Commands() {
		assert.NotEmpty(t, command.Short, command.Name())
		assert.Contains(t, command.Example, "kubectl vs", command.Name())
		assert.False(t, strings.HasSuffix(command.Short, "."), command.Name())
	}
}

func TestArgumentsThatMakeNoSense(t *testing.T) {
	for name, test := range map[string]struct {
		arguments []string
		want      string
	}{
		"no name":                      {[]string{"start"}, "name the machines, or choose them by --selector or --all: one of the three"},
		"a name and all":               {[]string{"stop", "a", "--all"}, "one of the three"},
		"a label and all":              {[]string{"stop", "-l", "a=b", "--all"}, "one of the three"},
		"a second name that is none":   {[]string{"stop", "a", "../b"}, "may not contain '/'"},
		"two names for one":            {[]string{"console", "a", "b"}, "accepts 1 arg"},
		"an empty name":                {[]string{"status", ""}, "is not the name"},
		"a name that is a path":        {[]string{"stop", "../../other/virtualservers/x"}, "may not contain '/'"},
		"a name with a dot segment":    {[]string{"console", ".."}, "may not be '..'"},
		"a port that is a path":        {[]string{"port-forward", "a/b", "80"}, "may not contain '/'"},
		"no port":                      {[]string{"port-forward", "my-vs"}, "requires at least 2 arg"},
		"port 0":                       {[]string{"port-forward", "my-vs", "8080:0"}, "is no port"},
		"a port with letters":          {[]string{"port-forward", "my-vs", "http"}, "is no port"},
		"an unknown command":           {[]string{"explode"}, "unknown command"},
		"an unknown dry run":           {[]string{"start", "--dry-run=maybe", "my-vs"}, "--dry-run is none or server"},
		"an unknown dry run of create": {[]string{"create", "--dry-run=clinet", "my-vs"}, "--dry-run is none, client or server, not"},
		"memory that is none":          {[]string{"create", "my-vs", "--memory=much"}, "--memory"},
		"a disk that is none":          {[]string{"create", "my-vs", "--disk=big"}, "--disk"},
		"cloud-init that is not there": {[]string{"create", "my-vs", "--cloud-init=/nonexistent/file"}, "no such file"},
		"an unknown format of stop":    {[]string{"stop", "my-vs", "-o", "picture"}, "unable to match a printer"},
		"an unknown format of status":  {[]string{"status", "my-vs", "-o", "picture"}, "unable to match a printer"},
		"an unknown format of create":  {[]string{"create", "my-vs", "-o", "picture"}, "unable to match a printer"},
		"nothing to resize":            {[]string{"resize", "my-vs"}, "say what to change: --cores, --memory or --disk"},
		"a size that is none":          {[]string{"resize", "my-vs", "--memory", "8GB"}, "--memory"},
		"fewer cores than none":        {[]string{"resize", "my-vs", "--cores", "-1"}, "--cores: -1 is no number of cores"},
		"a copy from here to here":     {[]string{"scp", "a", "./b:c"}, "no file is in a machine"},
		"a copy between two machines":  {[]string{"scp", "a:x", "b:y"}, "one machine at a time"},
		"a template without a format":  {[]string{"stop", "my-vs", "--template={{"}, "template"},
		"an unknown format":            {[]string{"create", "my-vs", "--dry-run=client", "-o", "picture"}, "unable to match a printer"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := run(t, test.arguments...)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestCreatePrintsWithoutAServer(t *testing.T) {
	cloudInit := filepath.Join(t.TempDir(), "user-data")
	require.NoError(t, os.WriteFile(cloudInit, []byte("#cloud-config\n"), 0o600))
	text, err := run(t, "create", "my-vs", "--dry-run=client", "-o", "yaml", "--cores=4", "--memory=8Gi", "--disk=20Gi", "--gpu=nvidia.com/A100",
		"--gpu-count=2", "--tcp=22,80", "--udp=53", "--storage-class=fast", "--run-strategy=Manual", "--cloud-init="+cloudInit)
	require.NoError(t, err)
	vs := &v1beta1.VirtualServer{}
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), vs))
	assert.Equal(t, "VirtualServer", vs.Kind)
	assert.Equal(t, "4", vs.Spec.Resources.CPU.Cores.String())
	assert.Equal(t, "8Gi", vs.Spec.Resources.Memory.String())
	assert.Equal(t, v1beta1.GPU{Type: "nvidia.com/A100", Count: 2}, *vs.Spec.Resources.GPU)
	assert.Equal(t, "20Gi", vs.Spec.Storage.Root.PVC.Size.String())
	assert.Equal(t, "fast", *vs.Spec.Storage.Root.PVC.StorageClassName)
	assert.Contains(t, vs.Spec.Storage.Root.Source.HTTP.URL, "ubuntu-24.04")
	assert.Equal(t, []int32{22, 80}, vs.Spec.Network.TCP)
	assert.Equal(t, []int32{53}, vs.Spec.Network.UDP)
	assert.Equal(t, v1beta1.RunStrategyManual, vs.Spec.RunStrategy)
	assert.Equal(t, "#cloud-config\n", vs.Spec.CloudInit)
}

func TestWhenANewMachineIsThere(t *testing.T) {
	imported := func(status metav1.ConditionStatus, reason string) func(*v1beta1.VirtualServer) {
		return condition(v1beta1.ConditionDataImported, status, reason, "")
	}
	under := func(strategy v1beta1.RunStrategy) func(*v1beta1.VirtualServer) {
		return func(vs *v1beta1.VirtualServer) { vs.Spec.RunStrategy = strategy }
	}
	stopped, done := is(v1beta1.StatusStopped, ""), imported(metav1.ConditionTrue, "Succeeded")
	for name, test := range map[string]struct {
		server *v1beta1.VirtualServer
		want   bool
	}{
		"it runs":                            {machine(), true},
		"it is starting":                     {machine(is(v1beta1.StatusStarting, ""), done), false},
		"not started yet":                    {machine(stopped, done), false},
		"Manual, imported":                   {machine(stopped, done, under(v1beta1.RunStrategyManual)), true},
		"Halted, imported":                   {machine(stopped, done, under(v1beta1.RunStrategyHalted)), true},
		"Halted, the import goes on":         {machine(stopped, imported(metav1.ConditionFalse, "ImportInProgress"), under(v1beta1.RunStrategyHalted)), false},
		"Halted, not seen yet":               {machine(is("", ""), under(v1beta1.RunStrategyHalted)), false},
		"Halted, the import waits for a use": {machine(stopped, imported(metav1.ConditionFalse, "WaitForFirstConsumer"), under(v1beta1.RunStrategyHalted)), true},
		"Manual, started by somebody":        {machine(under(v1beta1.RunStrategyManual)), true},
	} {
		assert.Equal(t, test.want, await.Created(test.server).Done, name)
	}
}

func TestCreateSaysThatItWasADryRun(t *testing.T) {
	text, err := run(t, "create", "my-vs", "--dry-run=client")
	require.NoError(t, err)
	assert.Equal(t, "virtualserver.tensorstack.dev/my-vs created (dry run)\n", text)
	text, err = run(t, "create", "my-vs", "--dry-run=client", "--template={{.metadata.name}}")
	require.NoError(t, err)
	assert.Equal(t, "my-vs", text)
}

func TestCreatePrintsTheNamespaceThatWasNamed(t *testing.T) {
	for namespace, flags := range map[string][]string{"team": {"-n", "team"}, "": nil} {
		text, err := run(t, append(flags, "create", "my-vs", "--dry-run=client", "-o", "yaml")...)
		require.NoError(t, err)
		vs := &v1beta1.VirtualServer{}
		require.NoError(t, yaml.UnmarshalStrict([]byte(text), vs))
		assert.Equal(t, namespace, vs.Namespace)
	}
}

func TestTheSchemeOfAnImageChoosesItsSource(t *testing.T) {
	for image, registry := range map[string]bool{
		"https://example.com/disk.img": false, "http://example.com/disk.img": false,
		"docker://quay.io/fedora": true, "oci-archive:disk.tar": true, "dockerless.example.com/x": false,
	} {
		source := sourceOf(image)
		assert.Equal(t, registry, source.Registry != nil, image)
		assert.Equal(t, !registry, source.HTTP != nil, image)
	}
}

func TestPortsToForward(t *testing.T) {
	got, err := parseForwards([]string{"80", "8080:443", "0:22"})
	require.NoError(t, err)
	assert.Equal(t, []forward{{80, 80}, {8080, 443}, {0, 22}}, got)
}

func TestStatusOnOnePage(t *testing.T) {
	vs := machine(is(v1beta1.StatusStopping, "the guest shuts down"), condition(v1beta1.ConditionReady, metav1.ConditionFalse, "Stopping", "bye"), func(vs *v1beta1.VirtualServer) {
		status := &vs.Status
		status.Conditions[0].LastTransitionTime = at(0)
		status.IPAddresses = []string{"10.0.0.1", "fd00::1"}
		status.GuestOS = &v1beta1.GuestOS{PrettyName: "Ubuntu 24.04"}
		status.PendingOperation = &v1beta1.Operation{Type: v1beta1.OperationStop, RequestedBy: "ann", RequestedAt: metav1.NewMicroTime(at(30).Time)}
		status.Operations = []v1beta1.OperationRecord{{
			Type: v1beta1.OperationStart, RequestedBy: "bob", RequestedAt: metav1.NewMicroTime(at(0).Time), CompletedAt: metav1.NewMicroTime(at(2).Time), Result: v1beta1.OperationSucceeded,
			FromRunStrategy: v1beta1.RunStrategyHalted, ToRunStrategy: v1beta1.RunStrategyAlways}}
		status.Disks = []v1beta1.DiskStatus{{Name: "root", Device: "/dev/vda", Serial: "S1", ByID: "/dev/disk/by-id/virtio-S1"}}
	})
	out := &bytes.Buffer{}
	require.NoError(t, writeStatus(out, vs, at(40).Time))
	requireLines(t, []string{
		"Name:          team/my-vs",
		"Status:        Stopping",
		"Message:       the guest shuts down",
		"Run strategy:  Always (created with Always)",
		"Machine:       managed-virtualserver-9dda9",
		"CPU, memory:   2, 4Gi",
		"Node:          node-a",
		"Addresses:     10.0.0.1, fd00::1",
		"Guest:         Ubuntu 24.04",
		"Pending:       Stop by ann 10s ago.",
		"",
		"CONDITION  STATUS  SINCE  REASON    MESSAGE",
		"Ready      False   40s    Stopping  bye",
		"",
		"DISK  DEVICE    SERIAL  PATH",
		"root  /dev/vda  S1      /dev/disk/by-id/virtio-S1",
		"",
		"OPERATION  BY   WHEN  STRATEGY          RESULT     TOOK",
		"Start      bob  40s   Halted -> Always  Succeeded  2s",
	}, out.String())
}

func TestProgressInOneLine(t *testing.T) {
	pending := func(vs *v1beta1.VirtualServer) {
		vs.Status.PendingOperation = &v1beta1.Operation{Type: v1beta1.OperationRestart, Message: "waits for the guest"}
	}
	assert.Equal(t, "Pending", progress(machine(is("", ""))))
	assert.Equal(t, "Running", progress(machine()))
	assert.Equal(t, "Provisioning: 42 %", progress(machine(is(v1beta1.StatusProvisioning, "42 %"))))
	assert.Equal(t, "Stopping (Restart: waits for the guest)", progress(machine(is(v1beta1.StatusStopping, ""), pending)))
}

func TestTheSerialLogIsThatOfTheNewestPod(t *testing.T) {
	withLog := func(pod *corev1.Pod) {
		pod.Spec.Containers = []corev1.Container{{Name: "compute"}, {Name: consoleLogContainer}}
	}
	pods := []corev1.Pod{
		*launcher("old", 1, withLog), *launcher("new", 5, withLog), *launcher("newest-without", 9, func(*corev1.Pod) {}),
	}
	assert.Equal(t, "new", consolePod(pods, false).Name)
	assert.Nil(t, consolePod(pods[2:], false))
	sidecar := launcher("sidecar", 12, func(pod *corev1.Pod) { pod.Spec.InitContainers = []corev1.Container{{Name: consoleLogContainer}} })
	assert.Equal(t, "sidecar", consolePod(append(pods, *sidecar), false).Name)
}

func TestWhenAnEventWasSeenLast(t *testing.T) {
	micro := metav1.NewMicroTime(at(3).Time)
	for name, test := range map[string]struct {
		event corev1.Event
		want  metav1.Time
	}{
		"a series":     {corev1.Event{Series: &corev1.EventSeries{LastObservedTime: micro}, LastTimestamp: at(1)}, at(3)},
		"counted":      {corev1.Event{LastTimestamp: at(4), EventTime: micro}, at(4)},
		"once":         {corev1.Event{EventTime: micro}, at(3)},
		"without time": {corev1.Event{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: at(7)}}, at(7)},
	} {
		assert.True(t, test.want.Time.Equal(lastSeen(&test.event)), name)
	}
}

// kubectl reads completions from commands that cobra adds.
func TestCompletionOffersCommandsAndNoFiles(t *testing.T) {
	text, err := run(t, cobra.ShellCompRequestCmd, "st")
	require.NoError(t, err)
	assert.Contains(t, text, "start\tStart a machine\n")
	assert.Contains(t, text, "status\t")
	assert.NotContains(t, text, "console")
}
