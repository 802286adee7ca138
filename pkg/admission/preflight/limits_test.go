package preflight

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/utils/ptr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

func ranges(kind corev1.LimitType, most corev1.ResourceList) *corev1.LimitRange {
	return &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "r"}, Spec: corev1.LimitRangeSpec{
		Limits: []corev1.LimitRangeItem{{Type: kind, Max: most}}}}
}

// What can be known of quotas and LimitRanges is said at once, with numbers.
func TestWhatTheNamespaceDoesNotAllow(t *testing.T) {
	some := func(name, quantity string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceName(name): resource.MustParse(quantity)}
	}
	blank := func(spec *tensorstack.VirtualServerSpec) {
		spec.Storage.Root.Source = cdiv1.DataVolumeSource{Blank: &cdiv1.DataVolumeBlankImage{}}
	}
	for name, test := range map[string]struct {
		object runtime.Object
		spec   func(*tensorstack.VirtualServerSpec)
		want   string
	}{
		"no pods":                 {quota("q", some("pods", "0"), nil), nil, `"q" leaves 0 of pods`},
		"CPU limits":              {quota("q", some("limits.cpu", "200m"), nil), nil, `ResourceQuota "q" allows 200m of limits.cpu, 0 are used, and the import needs 750m`},
		"scratch space":           {quota("q", some("requests.storage", "6Gi"), nil), nil, `"q" allows 6Gi of requests.storage, 0 are used, and the import needs 8Gi`},
		"no scratch space":        {quota("q", some("requests.storage", "6Gi"), nil), blank, ""},
		"overhead":                {quota("q", some("requests.memory", "8Gi"), nil), nil, `leaves 8Gi of requests.memory and the machine needs`},
		"import in a LimitRange":  {ranges("Container", some("cpu", "250m")), nil, `LimitRange "r" allows a Container at most 250m of cpu, and the import needs 750m`},
		"machine in a LimitRange": {ranges("Pod", some("memory", "1Gi")), nil, `LimitRange "r" allows a Pod at most 1Gi of memory, and the machine needs`},
		"claim in a LimitRange":   {ranges("PersistentVolumeClaim", some("storage", "1Gi")), nil, `at most 1Gi of storage, and the import needs 4Gi`},
		"enough":                  {quota("q", some("requests.storage", "8Gi"), nil), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := goodCluster()
			c.objects = append(c.objects, test.object)
			plugin, _ := c.plugin(t)
			vs := validMachine()
			if test.spec != nil {
				test.spec(&vs.Spec)
			}
			texts := strings.Join(warnings(t, plugin, vs, nil, false), "\n")
			if test.want == "" {
				assert.Empty(t, texts)
				return
			}
			assert.Contains(t, texts, test.want)
		})
	}
}

// An administrator may have told CDI what importers get.
func TestWhatImportersGetIsCDIsConfiguration(t *testing.T) {
	list := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	}
	for name, test := range map[string]struct {
		resources *corev1.ResourceRequirements
		want      string
	}{
		"more than by default": {&corev1.ResourceRequirements{Requests: list("1", "1Gi"), Limits: list("2", "2Gi")}, "the import needs 2"},
		"less than by default": {&corev1.ResourceRequirements{Requests: list("10m", "60M"), Limits: list("100m", "600M")}, ""},
		"no limits":            {&corev1.ResourceRequirements{Requests: list("10m", "60M")}, ""},
		"CDI has not said yet": {nil, "the import needs 750m"},
	} {
		t.Run(name, func(t *testing.T) {
			c := goodCluster()
			c.objects = append(c.objects, quota("q", corev1.ResourceList{"limits.cpu": resource.MustParse("200m")}, nil))
			c.kubeVirt = append(c.kubeVirt, &cdiv1.CDIConfig{
				TypeMeta:   metav1.TypeMeta{APIVersion: "cdi.kubevirt.io/v1beta1", Kind: "CDIConfig"},
				ObjectMeta: metav1.ObjectMeta{Name: "config"},
				Status:     cdiv1.CDIConfigStatus{DefaultPodResourceRequirements: test.resources},
			})
			plugin, _ := c.plugin(t)
			vs := validMachine()
			texts := strings.Join(warnings(t, plugin, vs, nil, false), "\n")
			if test.want == "" {
				assert.NotContains(t, texts, "the import needs")
				return
			}
			assert.Contains(t, texts, test.want)
		})
	}
}

// reader allows to read what it is told.
type reader map[string]bool

func (r reader) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetVerb() == "get" && a.GetResource() == "secrets" && a.GetNamespace() == namespace && r[a.GetName()] {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func TestSecretsAreToldOnlyWhoMayReadThem(t *testing.T) {
	secret := func(name string, data map[string]string) runtime.Object {
		object := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: map[string][]byte{}}
		for key, value := range data {
			object.Data[key] = []byte(value)
		}
		return object
	}
	sshKeys := func(spec *tensorstack.VirtualServerSpec) {
		spec.SSHKeys = &tensorstack.SSHKeys{SecretRef: corev1.LocalObjectReference{Name: "s"}}
	}
	const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJiQj4aBLkPjcXKhL4Yp0pMcP6BzZ1kqsUfgkYl8T3nV ann@example.com"
	http := func(http cdiv1.DataVolumeSourceHTTP) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) { spec.Storage.Root.Source.HTTP = &http }
	}
	for name, test := range map[string]struct {
		object runtime.Object
		spec   func(*tensorstack.VirtualServerSpec)
		want   string
	}{
		"cloud-init missing": {nil, func(spec *tensorstack.VirtualServerSpec) {
			spec.CloudInitSecretRef = &corev1.LocalObjectReference{Name: "s"}
		}, `spec.cloudInitSecretRef: there is no Secret "s"`},
		"cloud-init without the key": {secret("s", map[string]string{"user-data": "x"}), func(spec *tensorstack.VirtualServerSpec) {
			spec.CloudInitSecretRef = &corev1.LocalObjectReference{Name: "s"}
		}, `spec.cloudInitSecretRef: the Secret "s" has no key "userdata"`},
		"cloud-init by its other key": {secret("s", map[string]string{"userData": "x\n"}), func(spec *tensorstack.VirtualServerSpec) {
			spec.CloudInitSecretRef = &corev1.LocalObjectReference{Name: "s"}
		}, ""},
		"credentials missing":        {nil, http(cdiv1.DataVolumeSourceHTTP{SecretRef: "s"}), `http.secretRef: there is no Secret "s"`},
		"credentials without a key":  {secret("s", map[string]string{"accessKeyId": "ann"}), http(cdiv1.DataVolumeSourceHTTP{SecretRef: "s"}), `has no key "secretKey"`},
		"credentials with a newline": {secret("s", map[string]string{"accessKeyId": "ann", "secretKey": "hunter2\n"}), http(cdiv1.DataVolumeSourceHTTP{SecretRef: "s"}), `the key "secretKey" of the Secret "s" ends in a line break`},
		"headers with a newline":     {secret("s", map[string]string{"h": "Authorization: hunter2\r\n"}), http(cdiv1.DataVolumeSourceHTTP{SecretExtraHeaders: []string{"s"}}), `http.secretExtraHeaders[0]: the key "h"`},
		"registry": {secret("s", map[string]string{"secretKey": "x"}), func(spec *tensorstack.VirtualServerSpec) {
			spec.Storage.Root.Source.Registry = &cdiv1.DataVolumeSourceRegistry{SecretRef: ptr.To("s")}
		}, `registry.secretRef: the Secret "s" has no key "accessKeyId"`},
		"keys missing":     {nil, sshKeys, `spec.sshKeys.secretRef: there is no Secret "s"`},
		"keys that are":    {secret("s", map[string]string{"a": "# Ann's\n" + publicKey + "\n", "b": publicKey}), sshKeys, ""},
		"keys with limits": {secret("s", map[string]string{"a": `from="192.0.2.0/24" ` + publicKey}), sshKeys, ""},
		"keys, but none":   {secret("s", map[string]string{"a": "\n# nothing yet\n"}), sshKeys, `spec.sshKeys.secretRef: the Secret "s" holds no public key`},
		"a private key": {secret("s", map[string]string{"id": "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n"}), sshKeys,
			`the key "id" of the Secret "s" is a private key`},
		"keys and a mistake": {secret("s", map[string]string{"a": publicKey + "\nssh-ed25519 hunter2\n"}), sshKeys,
			`line 2 of the key "a" of the Secret "s" is no public key`},
		"disk": {nil, disk(tensorstack.VolumeSource{Secret: &tensorstack.SecretSource{SecretName: "s"}}), `spec.storage.additionalDisks[0].secret: there is no Secret "s"`},
		"good": {secret("s", map[string]string{"accessKeyId": "ann", "secretKey": "hunter2"}), http(cdiv1.DataVolumeSourceHTTP{SecretRef: "s"}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := goodCluster()
			if test.object != nil {
				c.objects = append(c.objects, test.object)
			}
			plugin, _ := c.plugin(t)
			vs := validMachine()
			test.spec(&vs.Spec)
			plugin.SetUnconditionalAuthorizer(reader{})
			require.Empty(t, warnings(t, plugin, vs, nil, false), "who may not read it learns nothing")
			plugin.SetUnconditionalAuthorizer(reader{"s": true})
			texts := strings.Join(warnings(t, plugin, vs, nil, false), "\n")
			assert.Contains(t, texts, test.want)
			assert.Equal(t, test.want == "", texts == "")
			assert.NotContains(t, texts, "hunter2")
		})
	}
	c := goodCluster()
	plugin, _ := c.plugin(t)
	vs := validMachine()
	http(cdiv1.DataVolumeSourceHTTP{CertConfigMap: "ca"})(&vs.Spec)
	assert.Contains(t, strings.Join(warnings(t, plugin, vs, nil, false), ""), `spec.storage.root.source.http.certConfigMap: there is no ConfigMap "ca"`)
}
