package admission

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/yaml"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/install"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/validation"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// plainMachine is what every form of the original's reference is written into.
const plainMachine = `
apiVersion: tensorstack.dev/v1beta1
kind: VirtualServer
metadata: {name: web, namespace: default, uid: 5b1f1a2e-0000-4000-8000-000000000000}
spec:
  resources: {cpu: {cores: 1}, memory: 1Gi}
  storage:
    root: {pvc: {size: 4Gi}, source: {http: {url: "https://images.example.com/a.img"}}}
`

// form is one way to write a field of the original's reference.
type form struct {
	// spec is merged into the spec of plainMachine.
	spec string
	// template is what the template of the VirtualMachine must have, in JSON: everything in it, whatever else there is. It is
	// empty for a form that is refused.
	template string
	// refused is the field and a part of the message for a form that is refused.
	refused string
}

func domain(inner string) string { return `{"spec":{"domain":` + inner + `}}` }

// forms are all fields of the original's published reference that its guide does not show, and what its later product for machines has.
var forms = map[string]form{
	"a queue": {spec: `{scheduler: {t9kScheduler: {queue: team-a}}}`,
		template: `{"metadata":{"labels":{"scheduler.tensorstack.dev/queue":"team-a"}},"spec":{"schedulerName":"t9k-scheduler"}}`},
	"a scheduler without settings": {spec: `{scheduler: {}}`, template: `{}`},
	"a queue without a name":       {spec: `{scheduler: {t9kScheduler: {}}}`, refused: "spec.scheduler.t9kScheduler.queue: Required"},
	"root on virtio":               {spec: `{storage: {root: {bus: virtio}}}`, template: domain(`{"devices":{"disks":[{"name":"root","disk":{"bus":"virtio"}}]}}`)},
	"root on sata":                 {spec: `{storage: {root: {bus: sata}}}`, template: domain(`{"devices":{"disks":[{"name":"root","disk":{"bus":"sata"}}]}}`)},
	"root on scsi":                 {spec: `{storage: {root: {bus: scsi}}}`, template: domain(`{"devices":{"disks":[{"name":"root","disk":{"bus":"scsi"}}]}}`)},
	"root on usb":                  {spec: `{storage: {root: {bus: usb}}}`, refused: "spec.storage.root.bus: Unsupported"},
	"disks on every bus": {spec: `{storage: {additionalDisks: [{name: a, bus: sata, persistentVolumeClaim: {claimName: a}},
		{name: b, bus: scsi, ephemeral: {persistentVolumeClaim: {claimName: b}}}, {name: c, bus: virtio, configMap: {name: c}}, {name: d, secret: {secretName: d}}]}}`,
		template: domain(`{"devices":{"disks":[{"name":"root"},{"name":"a","disk":{"bus":"sata"}},{"name":"b","disk":{"bus":"scsi"}},{"name":"c","disk":{"bus":"virtio"}},
		{"name":"d","disk":{"bus":"virtio"}}]}}`)},
	// KubeVirt's documentation of a volume, which the original repeats, says that it "defaults to Disk", a kind of volume that
	// KubeVirt has not had since its first releases. Its admission refuses a volume of no kind, and so do we.
	"a disk of no kind":       {spec: `{storage: {additionalDisks: [{name: a}]}}`, refused: "spec.storage.additionalDisks[0]: Required"},
	"a filesystem of no kind": {spec: `{storage: {filesystems: [{name: a}]}}`, refused: "spec.storage.filesystems[0]: Required"},
	"BIOS":                    {spec: `{firmware: {bootloader: {bios: {}}}}`, template: domain(`{"firmware":{"bootloader":{"bios":{}}}}`)},
	"BIOS on the console":     {spec: `{firmware: {bootloader: {bios: {useSerial: true}}}}`, template: domain(`{"firmware":{"bootloader":{"bios":{"useSerial":true}}}}`)},
	"EFI":                     {spec: `{firmware: {bootloader: {efi: {}}}}`, template: domain(`{"firmware":{"bootloader":{"efi":{}}},"features":{"smm":{"enabled":true}}}`)},
	"EFI, secure":             {spec: `{firmware: {bootloader: {efi: {secureBoot: true}}}}`, template: domain(`{"firmware":{"bootloader":{"efi":{"secureBoot":true}}},"features":{"smm":{"enabled":true}}}`)},
	"EFI, insecure, kept":     {spec: `{firmware: {bootloader: {efi: {secureBoot: false, persistent: true}}}}`, template: domain(`{"firmware":{"bootloader":{"efi":{"secureBoot":false,"persistent":true}}}}`)},
	"both bootloaders":        {spec: `{firmware: {bootloader: {bios: {}, efi: {}}}}`, refused: "spec.firmware.bootloader.efi: Forbidden"},
	"a bootloader of no kind": {spec: `{firmware: {bootloader: {}}}`, template: domain(`{"firmware":{"bootloader":{}}}`)},
	"a serial and a UUID":     {spec: `{firmware: {serial: SN-1, uuid: 3d2a7e9c-5a1e-4b5e-9a53-2f0a3ce9b1d4}}`, template: domain(`{"firmware":{"serial":"SN-1","uuid":"3d2a7e9c-5a1e-4b5e-9a53-2f0a3ce9b1d4"}}`)},
	"no UUID":                 {spec: `{firmware: {uuid: machine-1}}`, refused: "spec.firmware.uuid: Invalid"},
	"a kernel":                {spec: `{firmware: {kernelBoot: {kernelArgs: quiet, container: {image: "example.com/k:1", kernelPath: /k, initrdPath: /i}}}}`, template: domain(`{"firmware":{"kernelBoot":{"kernelArgs":"quiet","container":{"image":"example.com/k:1","kernelPath":"/k","initrdPath":"/i"}}}}`)},
	"a table of a Secret":     {spec: `{firmware: {acpi: {slicNameRef: slic}}, storage: {additionalDisks: [{name: slic, secret: {secretName: s}}]}}`, template: domain(`{"firmware":{"acpi":{"slicNameRef":"slic"}}}`)},
	"a table of nothing":      {spec: `{firmware: {acpi: {slicNameRef: slic}}}`, refused: "spec.firmware.acpi.slicNameRef: Invalid"},
	"virtio 0.9":              {spec: `{useVirtioTransitional: true}`, template: domain(`{"devices":{"useVirtioTransitional":true}}`)},
	"no virtio 0.9":           {spec: `{useVirtioTransitional: false}`, template: domain(`{"devices":{"useVirtioTransitional":false}}`)},
	"MAC with colons":         {spec: `{network: {macAddress: "de:ad:00:00:be:af"}}`, template: domain(`{"devices":{"interfaces":[{"macAddress":"de:ad:00:00:be:af"}]}}`)},
	"MAC with dashes":         {spec: `{network: {macAddress: DE-AD-00-00-BE-AF}}`, template: domain(`{"devices":{"interfaces":[{"macAddress":"de:ad:00:00:be:af"}]}}`)},
	"MAC with dots":           {spec: `{network: {macAddress: dead.0000.beaf}}`, refused: "spec.network.macAddress: Invalid"},
	"a number of cores":       {spec: `{resources: {cpu: {cores: 2}}}`, template: domain(`{"cpu":{"cores":2}}`)},
	"cores as text":           {spec: `{resources: {cpu: {cores: "2"}}}`, template: domain(`{"cpu":{"cores":2}}`)},
	"cores with a point":      {spec: `{resources: {cpu: {cores: "2.0"}}}`, template: domain(`{"cpu":{"cores":2}}`)},
	"cores in thousandths":    {spec: `{resources: {cpu: {cores: 2000m}}}`, template: domain(`{"cpu":{"cores":2}}`)},
	"cores in thousands":      {spec: `{resources: {cpu: {cores: 1k}}}`, template: domain(`{"cpu":{"cores":1000}}`)},
	"a part of a core":        {spec: `{resources: {cpu: {cores: 1500m}}}`, refused: "spec.resources.cpu.cores: Invalid"},
	"GPUs":                    {spec: `{resources: {gpu: {type: nvidia.com/A100, count: 1}}}`, template: domain(`{"devices":{"gpus":[{"name":"gpu-0","deviceName":"nvidia.com/A100"}]}}`)},
	"GPUs as text":            {spec: `{resources: {gpu: {type: nvidia.com/A100, count: "1"}}}`, refused: "cannot unmarshal string"},
	"root in an image":        {spec: `{storage: {root: {pvc: null, source: null, containerDisk: {image: "example.com/fedora:43"}}}}`, template: `{"spec":{"volumes":[{"name":"root","containerDisk":{"image":"example.com/fedora:43"}}]}}`},
	"root in a claim":         {spec: `{storage: {root: {pvc: null, source: null, persistentVolumeClaim: {claimName: boot}}}}`, template: `{"spec":{"volumes":[{"name":"root","persistentVolumeClaim":{"claimName":"boot"}}]}}`},
	"root over a claim":       {spec: `{storage: {root: {ephemeral: true, pvc: null, source: null, persistentVolumeClaim: {claimName: boot}}}}`, template: `{"spec":{"volumes":[{"name":"root","ephemeral":{"persistentVolumeClaim":{"claimName":"boot"}}}]}}`},
	"ports with names":        {spec: `{network: {ports: [{name: http, port: 80}, {name: dns, port: 53, protocol: UDP}]}}`, template: `{}`},
	"a node":                  {spec: `{nodeSelector: {kubernetes.io/hostname: node-a}}`, template: `{"spec":{"nodeSelector":{"kubernetes.io/hostname":"node-a"}}}`},
	"a toleration":            {spec: `{tolerations: [{key: gpu, operator: Exists, effect: NoSchedule}]}`, template: `{"spec":{"tolerations":[{"key":"gpu","operator":"Exists","effect":"NoSchedule"}]}}`},
	"a priority, a scheduler": {spec: `{priorityClassName: high, schedulerName: other}`, template: `{"spec":{"priorityClassName":"high","schedulerName":"other"}}`},
	"two schedulers":          {spec: `{schedulerName: other, scheduler: {t9kScheduler: {queue: a}}}`, refused: "spec.schedulerName: Forbidden"},
	"apart from each other": {spec: `{affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname,
		labelSelector: {matchLabels: {tensorstack.dev/virtualserver: web}}}]}}}`,
		template: `{"spec":{"affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"kubernetes.io/hostname"}]}}}}`},
	"spread": {spec: `{topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}]}`,
		template: `{"spec":{"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"DoNotSchedule"}]}}`},
}

// Every form is read strictly, kept as it is written, accepted or refused as the table says, and becomes a machine that
// KubeVirt's own admission takes.
func TestTheOriginalsReference(t *testing.T) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	machines := newJudge()
	base, err := yaml.YAMLToJSON([]byte(plainMachine))
	require.NoError(t, err)
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			patch, err := yaml.YAMLToJSON([]byte("spec: " + form.spec))
			require.NoError(t, err)
			document, err := jsonpatch.MergePatch(base, patch)
			require.NoError(t, err)
			vs := &v1beta1.VirtualServer{}
			if _, _, err := codecs.UniversalDeserializer().Decode(document, nil, vs); err != nil {
				require.NotEmpty(t, form.refused, err)
				require.ErrorContains(t, err, form.refused)
				return
			}
			scheme.Default(vs)
			internal := &tensorstack.VirtualServer{}
			require.NoError(t, scheme.Convert(vs, internal, nil))
			errs := validation.ValidateVirtualServer(internal)
			if form.refused != "" {
				require.Len(t, errs, 1)
				require.Contains(t, errs[0].Error(), form.refused)
				return
			}
			require.Empty(t, errs)
			requireKept(t, codecs.LegacyCodec(v1beta1.SchemeGroupVersion), internal, document)
			vs.Status.VM.Name = "managed-virtualserver-9dda9"
			vm, err := translate.VirtualMachine(vs, translate.Options{RunStrategy: vs.Spec.RunStrategy})
			require.NoError(t, err)
			require.NoError(t, machines.encoder.Encode(vm))
			encoded, err := json.Marshal(vm.Spec.Template)
			require.NoError(t, err)
			requireWithin(t, form.template, string(encoded))
		})
	}
	assert.Empty(t, machines.ask(t, "kubevirt"), "VirtualMachines that KubeVirt refuses, by number")
}

// requireKept says that everything in the document comes back from the store as it was written.
func requireKept(t *testing.T, codec runtime.Codec, vs *tensorstack.VirtualServer, document []byte) {
	t.Helper()
	stored, err := runtime.Encode(codec, vs)
	require.NoError(t, err)
	written := &unstructured.Unstructured{}
	require.NoError(t, written.UnmarshalJSON(document))
	wanted, err := json.Marshal(written.Object["spec"])
	require.NoError(t, err)
	kept := &unstructured.Unstructured{}
	require.NoError(t, kept.UnmarshalJSON(stored))
	got, err := json.Marshal(kept.Object["spec"])
	require.NoError(t, err)
	requireWithin(t, string(wanted), string(got))
}

// requireWithin says that everything in want is in got. Lists are compared by place, as far as want goes.
func requireWithin(t *testing.T, want, got string) {
	t.Helper()
	var wanted, has any
	require.NoError(t, json.Unmarshal([]byte(want), &wanted))
	require.NoError(t, json.Unmarshal([]byte(got), &has))
	require.True(t, within(wanted, has), "%s\nis not within\n%s", want, got)
}

func within(want, got any) bool {
	switch want := want.(type) {
	case map[string]any:
		has, is := got.(map[string]any)
		for key, value := range want {
			if inner, found := has[key]; !is || !found || !within(value, inner) {
				return false
			}
		}
		return is
	case []any:
		has, is := got.([]any)
		if !is || len(has) < len(want) {
			return false
		}
		for i := range want {
			if !within(want[i], has[i]) {
				return false
			}
		}
		return true
	default:
		return want == got
	}
}
