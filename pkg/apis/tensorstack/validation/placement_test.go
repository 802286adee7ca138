package validation

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

func tolerate(tolerations ...corev1.Toleration) func(*tensorstack.VirtualServerSpec) {
	return func(spec *tensorstack.VirtualServerSpec) { spec.Tolerations = tolerations }
}

func TestPlacement(t *testing.T) {
	selector := func(pairs map[string]string) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) { spec.NodeSelector = pairs }
	}
	const toleration = "spec.tolerations[0]"
	checkRules(t, map[string]rule{
		"a node":                  {selector(map[string]string{"kubernetes.io/hostname": "node-a", "ssd": ""}), nil},
		"a key with a blank":      {selector(map[string]string{"a b": "c"}), []string{"spec.nodeSelector name part"}},
		"a value with a blank":    {selector(map[string]string{"zone": "a b"}), []string{"spec.nodeSelector a valid label"}},
		"every taint":             {tolerate(corev1.Toleration{Operator: corev1.TolerationOpExists}), nil},
		"one taint":               {tolerate(corev1.Toleration{Key: "gpu", Value: "yes", Effect: corev1.TaintEffectNoSchedule}), nil},
		"for a while":             {tolerate(corev1.Toleration{Key: "gpu", Operator: "Exists", Effect: "NoExecute", TolerationSeconds: ptr.To(int64(60))}), nil},
		"more than a number":      {tolerate(corev1.Toleration{Key: "load", Operator: "Gt", Value: "5"}), nil},
		"more than a text":        {tolerate(corev1.Toleration{Key: "load", Operator: "Gt", Value: "x"}), []string{toleration + ".value whole number"}},
		"no key":                  {tolerate(corev1.Toleration{Value: "yes"}), []string{toleration + ".operator Exists"}},
		"a value that must be":    {tolerate(corev1.Toleration{Key: "gpu", Operator: "Exists", Value: "yes"}), []string{toleration + ".value empty"}},
		"an unknown operator":     {tolerate(corev1.Toleration{Key: "gpu", Operator: "In"}), []string{toleration + ".operator Unsupported"}},
		"an unknown effect":       {tolerate(corev1.Toleration{Key: "gpu", Effect: "Never"}), []string{toleration + ".effect Unsupported"}},
		"a bad key":               {tolerate(corev1.Toleration{Key: "a b"}), []string{toleration + ".key name part"}},
		"seconds without an end":  {tolerate(corev1.Toleration{Key: "gpu", TolerationSeconds: ptr.To(int64(1))}), []string{toleration + ".effect NoExecute"}},
		"a priority":              {func(spec *tensorstack.VirtualServerSpec) { spec.PriorityClassName = "high" }, nil},
		"no name of a priority":   {func(spec *tensorstack.VirtualServerSpec) { spec.PriorityClassName = "A b" }, []string{"spec.priorityClassName PriorityClass"}},
		"another scheduler":       {func(spec *tensorstack.VirtualServerSpec) { spec.SchedulerName = "my-scheduler" }, nil},
		"no name of a scheduler":  {func(spec *tensorstack.VirtualServerSpec) { spec.SchedulerName = "my scheduler" }, []string{"spec.schedulerName scheduler"}},
		"an empty scheduler":      {func(spec *tensorstack.VirtualServerSpec) { spec.Scheduler = &tensorstack.Scheduler{} }, nil},
		"a queue":                 {queue("default"), nil},
		"a queue of many letters": {queue(strings.Repeat("q", 64)), []string{"spec.scheduler.t9kScheduler.queue 63 bytes"}},
		"no queue":                {queue(""), []string{"spec.scheduler.t9kScheduler.queue Required"}},
		"two schedulers": {func(spec *tensorstack.VirtualServerSpec) {
			queue("default")(spec)
			spec.SchedulerName = "other"
		}, []string{"spec.schedulerName keep one of the two"}},
		"the same scheduler twice": {func(spec *tensorstack.VirtualServerSpec) {
			queue("default")(spec)
			spec.SchedulerName = T9kSchedulerName
		}, nil},
	})
}

func queue(name string) func(*tensorstack.VirtualServerSpec) {
	return func(spec *tensorstack.VirtualServerSpec) {
		spec.Scheduler = &tensorstack.Scheduler{T9kScheduler: &tensorstack.T9kScheduler{Queue: name}}
	}
}

func TestAffinity(t *testing.T) {
	node := func(requirements ...corev1.NodeSelectorRequirement) *corev1.NodeSelector {
		return &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: requirements}}}
	}
	required := func(selector *corev1.NodeSelector) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) {
			spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: selector}}
		}
	}
	preferred := func(weight int32, requirements ...corev1.NodeSelectorRequirement) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) {
			spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{
				{Weight: weight, Preference: corev1.NodeSelectorTerm{MatchExpressions: requirements}}}}}
		}
	}
	apart := func(term corev1.PodAffinityTerm) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) {
			spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{term}}}
		}
	}
	near := func(weight int32, term corev1.PodAffinityTerm) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) {
			spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{
				{Weight: weight, PodAffinityTerm: term}}}}
		}
	}
	zone := corev1.NodeSelectorRequirement{Key: "zone", Operator: corev1.NodeSelectorOpIn, Values: []string{"a"}}
	web := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	const (
		nodes  = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
		wishes = "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0]"
		pods   = "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]"
		wished = "spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0]"
	)
	checkRules(t, map[string]rule{
		"a zone":            {required(node(zone)), nil},
		"no term":           {required(&corev1.NodeSelector{}), []string{nodes + " Required"}},
		"no value":          {required(node(corev1.NodeSelectorRequirement{Key: "zone", Operator: "In"})), []string{nodes + "[0].matchExpressions[0].values Invalid"}},
		"no operator":       {required(node(corev1.NodeSelectorRequirement{Key: "zone"})), []string{nodes + "[0].matchExpressions[0].operator "}},
		"no key":            {required(node(corev1.NodeSelectorRequirement{Operator: "Exists"})), []string{nodes + "[0].matchExpressions[0].key Invalid"}},
		"a wish":            {preferred(1, zone), nil},
		"a wish of no use":  {preferred(0, zone), []string{wishes + ".weight from 1 to 100"}},
		"a wish of no sort": {preferred(0, corev1.NodeSelectorRequirement{Key: "a b", Operator: "Exists"}), []string{wishes + ".weight from 1", wishes + ".preference.matchExpressions[0].key "}},
		"apart":             {apart(corev1.PodAffinityTerm{LabelSelector: web, TopologyKey: corev1.LabelHostname}), nil},
		"apart from where":  {apart(corev1.PodAffinityTerm{LabelSelector: web}), []string{pods + ".topologyKey Required"}},
		"a bad place":       {apart(corev1.PodAffinityTerm{LabelSelector: web, TopologyKey: "a b"}), []string{pods + ".topologyKey name part"}},
		"a bad namespace":   {apart(corev1.PodAffinityTerm{LabelSelector: web, TopologyKey: "zone", Namespaces: []string{"A"}}), []string{pods + ".namespaces[0] namespace"}},
		"keys of nothing":   {apart(corev1.PodAffinityTerm{TopologyKey: "zone", MatchLabelKeys: []string{"a"}}), []string{pods + ".matchLabelKeys labelSelector"}},
		"keys of both": {apart(corev1.PodAffinityTerm{LabelSelector: web, TopologyKey: "zone", MatchLabelKeys: []string{"a"}, MismatchLabelKeys: []string{"a"}}),
			[]string{pods + ".matchLabelKeys[0] mismatchLabelKeys"}},
		"near":          {near(100, corev1.PodAffinityTerm{LabelSelector: web, TopologyKey: "zone"}), nil},
		"much too near": {near(101, corev1.PodAffinityTerm{TopologyKey: ""}), []string{wished + ".weight from 1", wished + ".podAffinityTerm.topologyKey Required"}},
		"a bad selector": {near(1, corev1.PodAffinityTerm{TopologyKey: "zone", LabelSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "app", Operator: "In"}}}}), []string{wished + ".podAffinityTerm.labelSelector.matchExpressions[0].values Required"}},
	})
}

func TestTopologySpread(t *testing.T) {
	spread := func(constraints ...corev1.TopologySpreadConstraint) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) { spec.TopologySpreadConstraints = constraints }
	}
	good := corev1.TopologySpreadConstraint{MaxSkew: 1, TopologyKey: "zone", WhenUnsatisfiable: corev1.DoNotSchedule,
		LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}
	with := func(change func(*corev1.TopologySpreadConstraint)) func(*tensorstack.VirtualServerSpec) {
		constraint := *good.DeepCopy()
		change(&constraint)
		return spread(constraint)
	}
	other := *good.DeepCopy()
	other.WhenUnsatisfiable = corev1.ScheduleAnyway
	const first = "spec.topologySpreadConstraints[0]"
	checkRules(t, map[string]rule{
		"one":            {spread(good), nil},
		"two":            {spread(good, other), nil},
		"the same twice": {spread(good, good), []string{"spec.topologySpreadConstraints[1] Duplicate"}},
		"no skew":        {with(func(c *corev1.TopologySpreadConstraint) { c.MaxSkew = 0 }), []string{first + ".maxSkew at least 1"}},
		"no place":       {with(func(c *corev1.TopologySpreadConstraint) { c.TopologyKey = "" }), []string{first + ".topologyKey Required"}},
		"else what":      {with(func(c *corev1.TopologySpreadConstraint) { c.WhenUnsatisfiable = "Wait" }), []string{first + ".whenUnsatisfiable Unsupported"}},
		"domains":        {with(func(c *corev1.TopologySpreadConstraint) { c.MinDomains = ptr.To(int32(2)) }), nil},
		"no domains":     {with(func(c *corev1.TopologySpreadConstraint) { c.MinDomains = ptr.To(int32(0)) }), []string{first + ".minDomains at least 1"}},
		"domains or not": {with(func(c *corev1.TopologySpreadConstraint) {
			c.MinDomains, c.WhenUnsatisfiable = ptr.To(int32(2)), corev1.ScheduleAnyway
		}), []string{first + ".minDomains DoNotSchedule"}},
		"a policy": {with(func(c *corev1.TopologySpreadConstraint) { c.NodeTaintsPolicy = ptr.To(corev1.NodeInclusionPolicyHonor) }), nil},
		"no policy": {with(func(c *corev1.TopologySpreadConstraint) {
			c.NodeAffinityPolicy = ptr.To(corev1.NodeInclusionPolicy("x"))
		}), []string{first + ".nodeAffinityPolicy Unsupported"}},
		"a key":        {with(func(c *corev1.TopologySpreadConstraint) { c.MatchLabelKeys = []string{"team"} }), nil},
		"a bad key":    {with(func(c *corev1.TopologySpreadConstraint) { c.MatchLabelKeys = []string{"a b"} }), []string{first + ".matchLabelKeys[0] name part"}},
		"keys of none": {with(func(c *corev1.TopologySpreadConstraint) { c.LabelSelector, c.MatchLabelKeys = nil, []string{"team"} }), []string{first + ".matchLabelKeys labelSelector"}},
	})
}
