package validation

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	corev1 "k8s.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

func TestMetadata(t *testing.T) {
	vs := valid()
	vs.Name = "Not_a_name"
	requireErrors(t, []string{"metadata.name RFC 1123"}, ValidateVirtualServer(vs))
	vs.Name = strings.Repeat("a", 253)
	requireErrors(t, nil, ValidateVirtualServer(vs))
	vs.Namespace = ""
	requireErrors(t, []string{"metadata.namespace Required"}, ValidateVirtualServer(vs))
}

func TestRunStrategy(t *testing.T) {
	checkRules(t, map[string]rule{
		"unknown": {func(spec *tensorstack.VirtualServerSpec) { spec.RunStrategy = "Once" }, []string{"spec.runStrategy supported values"}},
		"empty":   {func(spec *tensorstack.VirtualServerSpec) { spec.RunStrategy = "" }, []string{"spec.runStrategy Required"}},
		"halted":  {func(spec *tensorstack.VirtualServerSpec) { spec.RunStrategy = "Halted" }, nil},
	})
}

func TestResources(t *testing.T) {
	cores := func(value intstr.IntOrString) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) { spec.Resources.CPU.Cores = value }
	}
	model := func(value string) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) { spec.Resources.CPU.Model = value }
	}
	memory := func(value string) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) { spec.Resources.Memory = resource.MustParse(value) }
	}
	gpu := func(kind string, count int32) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) {
			spec.Resources.GPU = &tensorstack.GPU{Type: kind, Count: count}
		}
	}
	const (
		coresField, modelField = "spec.resources.cpu.cores ", "spec.resources.cpu.model "
		memoryField            = "spec.resources.memory "
	)
	checkRules(t, map[string]rule{
		"cores as text":            {cores(intstr.FromString("2")), nil},
		"most cores":               {cores(intstr.FromInt32(MaxCores)), nil},
		"no cores":                 {cores(intstr.FromInt32(0)), []string{coresField + "from 1 to"}},
		"negative cores":           {cores(intstr.FromString("-1")), []string{coresField + "from 1 to"}},
		"too many cores":           {cores(intstr.FromInt32(MaxCores + 1)), []string{coresField + "from 1 to"}},
		"half a core":              {cores(intstr.FromString("0.5")), []string{coresField + "whole cores"}},
		"milli cores":              {cores(intstr.FromString("500m")), []string{coresField + "whole cores"}},
		"cores with a zero before": {cores(intstr.FromString("010")), nil},
		"signed cores":             {cores(intstr.FromString("+1")), nil},
		"empty cores":              {cores(intstr.FromString("")), []string{coresField + "Required"}},
		"enormous cores":           {cores(intstr.FromString("99999999999999999999")), []string{coresField + "from 1 to"}},
		"CPU model":                {model("Conroe"), nil},
		"CPU model of the host":    {model("host-passthrough"), nil},
		"CPU model with a slash":   {model("a/b"), []string{modelField + "name of a CPU model"}},
		"CPU model with a space":   {model("Skylake Client"), []string{modelField + "name of a CPU model"}},
		"CPU model too long":       {model(strings.Repeat("a", 64)), []string{modelField + "name of a CPU model"}},
		"CPU model with a dash":    {model("Conroe-"), []string{modelField + "name of a CPU model"}},
		"least memory":             {memory("16Mi"), nil},
		"decimal memory":           {memory("1G"), nil},
		"memory with a fraction":   {memory("1.5Gi"), nil},
		"no memory":                {memory("0"), []string{memoryField + "such as 8Gi"}},
		"negative memory":          {memory("-8Gi"), []string{memoryField + "at least 16Mi"}},
		"memory without a unit":    {memory("8192"), []string{memoryField + "without a unit is in bytes"}},
		"memory in thousandths":    {memory("512m"), []string{memoryField + "use Mi"}},
		"too little memory":        {memory("15Mi"), []string{memoryField + "at least 16Mi"}},
		"too much memory":          {memory("17Ti"), []string{memoryField + "at most 16Ti"}},
		"enormous memory":          {memory("1E100"), []string{memoryField + "at most 16Ti"}},
		"half a byte of memory":    {memory("1073741824500m"), []string{memoryField + "whole number of bytes"}},
		"GPUs":                     {gpu("nvidia.com/GA100_A100_PCIE_40GB", 2), nil},
		"GPU without a domain":     {gpu("a100", 1), []string{"spec.resources.gpu.type extended resource"}},
		"GPU of Kubernetes":        {gpu("kubernetes.io/gpu", 1), []string{"spec.resources.gpu.type extended resource"}},
		"GPU as a quota":           {gpu("requests.nvidia.com/gpu", 1), []string{"spec.resources.gpu.type extended resource"}},
		"GPU with a bad name":      {gpu("nvidia.com/a b", 1), []string{"spec.resources.gpu.type extended resource"}},
		"GPU without a type":       {gpu("", 1), []string{"spec.resources.gpu.type Required"}},
		"no GPUs":                  {gpu("nvidia.com/gpu", 0), []string{"spec.resources.gpu.count from 1 to"}},
		"too many GPUs":            {gpu("nvidia.com/gpu", MaxGPUs+1), []string{"spec.resources.gpu.count from 1 to"}},
	})
}

func TestNetwork(t *testing.T) {
	mac := func(address string) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) { spec.Network.MACAddress = address }
	}
	dns := func(policy corev1.DNSPolicy, config *corev1.PodDNSConfig) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) {
			spec.Network.DNSPolicy, spec.Network.DNSConfig = policy, config
		}
	}
	ports := func(tcp, udp []int32) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) { spec.Network.TCP, spec.Network.UDP = tcp, udp }
	}
	const macField, config = "spec.network.macAddress ", "spec.network.dnsConfig"
	long := strings.Repeat("a", 60) + ".example.com"
	checkRules(t, map[string]rule{
		"ports":                   {ports([]int32{1, 53, 65535}, []int32{53}), nil},
		"port 0":                  {ports([]int32{80, 0}, nil), []string{"spec.network.tcp[1] from 1 to 65535"}},
		"port 65536":              {ports(nil, []int32{65536}), []string{"spec.network.udp[0] from 1 to 65535"}},
		"doubled port":            {ports([]int32{80, 80}, nil), []string{"spec.network.tcp[1] Duplicate"}},
		"too many ports":          {ports(make([]int32, MaxPorts+1), nil), []string{"spec.network.tcp Too many"}},
		"MAC":                     {mac("02:00:00:4c:1f:07"), nil},
		"MAC in capitals":         {mac("02:00:00:4C:1F:07"), nil},
		"MAC of a bridge":         {mac("02:00:00:00:00:00"), []string{macField + "reserved"}},
		"MAC of zeros":            {mac("00:00:00:00:00:00"), []string{macField + "reserved"}},
		"multicast MAC":           {mac("01:00:5e:00:00:01"), []string{macField + "multicast"}},
		"broadcast MAC":           {mac("ff:ff:ff:ff:ff:ff"), []string{macField + "multicast"}},
		"MAC with dashes":         {mac("02-00-00-4C-1f-07"), nil},
		"MAC with dots":           {mac("0200.004c.1f07"), []string{macField + "with colons"}},
		"long MAC":                {mac("02:00:00:4c:1f:07:00:01"), []string{macField + "six bytes"}},
		"no MAC":                  {mac("hello"), []string{macField + "six bytes"}},
		"unknown DNS policy":      {dns("clusterfirst", nil), []string{"spec.network.dnsPolicy supported values"}},
		"DNS of the host":         {dns(corev1.DNSDefault, nil), nil},
		"empty DNS configuration": {dns(corev1.DNSClusterFirst, &corev1.PodDNSConfig{}), nil},
		"no DNS":                  {dns(corev1.DNSNone, nil), []string{config + ".nameservers needs at least one"}},
		"own DNS": {dns(corev1.DNSNone, &corev1.PodDNSConfig{
			Nameservers: []string{"192.0.2.1", "2001:db8::1"}, Searches: []string{"example.com"},
			Options: []corev1.PodDNSConfigOption{{Name: "ndots"}},
		}), nil},
		"four nameservers": {dns(corev1.DNSNone, &corev1.PodDNSConfig{
			Nameservers: []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"},
		}), []string{config + ".nameservers Too many"}},
		"a nameserver's name": {dns(corev1.DNSNone, &corev1.PodDNSConfig{Nameservers: []string{"dns.example.com"}}),
			[]string{config + ".nameservers[0] must be an IP address"}},
		"seven search domains": {dns("Default", &corev1.PodDNSConfig{Searches: strings.Split("a b c d e f g", " ")}),
			[]string{config + ".searches Too many"}},
		"long search domains": {dns("Default", &corev1.PodDNSConfig{Searches: []string{long, long, long, long}}),
			[]string{config + ".searches at most 256"}},
		"bad search domain": {dns("Default", &corev1.PodDNSConfig{Searches: []string{"_a"}}),
			[]string{config + ".searches[0] RFC 1123"}},
		"nameless option": {dns("Default", &corev1.PodDNSConfig{Options: []corev1.PodDNSConfigOption{{}}}),
			[]string{config + ".options[0].name Required"}},
	})
}

func TestCloudInit(t *testing.T) {
	text := func(text, secret string) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) {
			spec.CloudInit = text
			if secret != "" {
				spec.CloudInitSecretRef = &corev1.LocalObjectReference{Name: secret}
			}
		}
	}
	checkRules(t, map[string]rule{
		"a megabyte":      {text(strings.Repeat("x", MaxCloudInitBytes), ""), nil},
		"too long":        {text(strings.Repeat("x", MaxCloudInitBytes+1), ""), []string{"spec.cloudInit Too long"}},
		"long in JSON":    {text(strings.Repeat("\x01", 300<<10), ""), []string{"spec cloudInitSecretRef"}},
		"only blanks":     {text(" \n", ""), []string{"spec.cloudInit only white space"}},
		"not text":        {text("\xff", ""), []string{"spec.cloudInit UTF-8"}},
		"in a Secret":     {text("", "user-data"), nil},
		"in both":         {text("#cloud-config\n", "user-data"), []string{"spec.cloudInitSecretRef keep one"}},
		"in a bad Secret": {text("", "User Data"), []string{"spec.cloudInitSecretRef.name name of a Secret"}},
		"in no Secret": {func(spec *tensorstack.VirtualServerSpec) { spec.CloudInitSecretRef = &corev1.LocalObjectReference{} },
			[]string{"spec.cloudInitSecretRef.name Required"}},
	})
}
