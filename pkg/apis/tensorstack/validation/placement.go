package validation

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// validatePlacement keeps the rules that Kubernetes has for the same fields of a pod. Those of tolerations and affinity are in
// k8s.io/kubernetes, which no other project may import; what they are made of is not.
func validatePlacement(placement *tensorstack.Placement, path *field.Path) field.ErrorList {
	errs := metav1validation.ValidateLabels(placement.NodeSelector, path.Child("nodeSelector"))
	for i := range placement.Tolerations {
		errs = append(errs, validateToleration(&placement.Tolerations[i], path.Child("tolerations").Index(i))...)
	}
	errs = append(errs, validateAffinity(placement.Affinity, path.Child("affinity"))...)
	errs = append(errs, validateTopologySpread(placement.TopologySpreadConstraints, path.Child("topologySpreadConstraints"))...)
	errs = append(errs, validateOptionalName(placement.PriorityClassName, "PriorityClass", path.Child("priorityClassName"))...)
	return append(errs, validateOptionalName(placement.SchedulerName, "scheduler", path.Child("schedulerName"))...)
}

// T9kSchedulerName is the name of T9k's scheduler in the spec of a pod.
const T9kSchedulerName = "t9k-scheduler"

func validateScheduler(spec *tensorstack.VirtualServerSpec, path *field.Path) field.ErrorList {
	if spec.Scheduler == nil || spec.Scheduler.T9kScheduler == nil {
		return nil
	}
	var errs field.ErrorList
	if name := spec.SchedulerName; name != "" && name != T9kSchedulerName {
		errs = append(errs, field.Forbidden(path.Child("schedulerName"), fmt.Sprintf("%s chooses the scheduler %s: keep one of the two",
			path.Child("scheduler", "t9kScheduler"), T9kSchedulerName)))
	}
	queue, at := spec.Scheduler.T9kScheduler.Queue, path.Child("scheduler", "t9kScheduler", "queue")
	if queue == "" {
		return append(errs, field.Required(at, "name the queue that the machine waits in"))
	}
	// The queue becomes a label of the machine's pod.
	for _, message := range validation.IsValidLabelValue(queue) {
		errs = append(errs, field.Invalid(at, queue, message))
	}
	return errs
}

var taintEffects = []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}

func validateToleration(toleration *corev1.Toleration, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if toleration.Key != "" {
		errs = append(errs, metav1validation.ValidateLabelName(toleration.Key, path.Child("key"))...)
	} else if toleration.Operator != corev1.TolerationOpExists {
		errs = append(errs, field.Invalid(path.Child("operator"), toleration.Operator, "must be Exists where there is no key: the toleration is for every taint"))
	}
	value := path.Child("value")
	switch toleration.Operator {
	case corev1.TolerationOpEqual, "":
		for _, message := range validation.IsValidLabelValue(toleration.Value) {
			errs = append(errs, field.Invalid(value, toleration.Value, message))
		}
	case corev1.TolerationOpExists:
		if toleration.Value != "" {
			errs = append(errs, field.Invalid(value, toleration.Value, "must be empty with the operator Exists"))
		}
	case corev1.TolerationOpLt, corev1.TolerationOpGt:
		if _, err := strconv.ParseInt(toleration.Value, 10, 64); err != nil {
			errs = append(errs, field.Invalid(value, toleration.Value, "must be a whole number with the operators Lt and Gt"))
		}
	default:
		errs = append(errs, field.NotSupported(path.Child("operator"), toleration.Operator,
			[]corev1.TolerationOperator{corev1.TolerationOpEqual, corev1.TolerationOpExists, corev1.TolerationOpLt, corev1.TolerationOpGt}))
	}
	if toleration.Effect != "" {
		errs = append(errs, validateEnum(toleration.Effect, taintEffects, path.Child("effect"))...)
	}
	if toleration.TolerationSeconds != nil && toleration.Effect != corev1.TaintEffectNoExecute {
		errs = append(errs, field.Invalid(path.Child("effect"), toleration.Effect, "must be NoExecute where tolerationSeconds is set"))
	}
	return errs
}

func validateAffinity(affinity *corev1.Affinity, path *field.Path) field.ErrorList {
	const required, preferred = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
	var errs field.ErrorList
	if affinity == nil {
		return errs
	}
	if node := affinity.NodeAffinity; node != nil {
		at := path.Child("nodeAffinity")
		if selector := node.RequiredDuringSchedulingIgnoredDuringExecution; selector != nil {
			errs = append(errs, validateNodeSelector(selector, at.Child(required))...)
		}
		errs = append(errs, validatePreferredNodes(node.PreferredDuringSchedulingIgnoredDuringExecution, at.Child(preferred))...)
	}
	terms := func(needed []corev1.PodAffinityTerm, wished []corev1.WeightedPodAffinityTerm, at *field.Path) {
		for i := range needed {
			errs = append(errs, validatePodAffinityTerm(&needed[i], at.Child(required).Index(i))...)
		}
		for i := range wished {
			term := at.Child(preferred).Index(i)
			errs = append(errs, validateWeight(wished[i].Weight, term)...)
			errs = append(errs, validatePodAffinityTerm(&wished[i].PodAffinityTerm, term.Child("podAffinityTerm"))...)
		}
	}
	if pod := affinity.PodAffinity; pod != nil {
		terms(pod.RequiredDuringSchedulingIgnoredDuringExecution, pod.PreferredDuringSchedulingIgnoredDuringExecution, path.Child("podAffinity"))
	}
	if pod := affinity.PodAntiAffinity; pod != nil {
		terms(pod.RequiredDuringSchedulingIgnoredDuringExecution, pod.PreferredDuringSchedulingIgnoredDuringExecution, path.Child("podAntiAffinity"))
	}
	return errs
}

func validateWeight(weight int32, path *field.Path) field.ErrorList {
	if weight < 1 || weight > 100 {
		return field.ErrorList{field.Invalid(path.Child("weight"), weight, "must be from 1 to 100")}
	}
	return nil
}

// validateNodeSelector asks the scheduler's own parser.
func validateNodeSelector(selector *corev1.NodeSelector, path *field.Path) field.ErrorList {
	if len(selector.NodeSelectorTerms) == 0 {
		return field.ErrorList{field.Required(path.Child("nodeSelectorTerms"), "describe the nodes in at least one term")}
	}
	_, err := nodeaffinity.NewNodeSelector(selector, field.WithPath(path))
	return parserErrors(err, path)
}

// validatePreferredNodes gives the parser the terms one by one, because it skips those of weight 0.
func validatePreferredNodes(terms []corev1.PreferredSchedulingTerm, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, term := range terms {
		at := path.Index(i)
		errs = append(errs, validateWeight(term.Weight, at)...)
		selector := &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{term.Preference}}
		_, err := nodeaffinity.NewNodeSelector(selector, field.WithPath(at.Child("preference")))
		for _, found := range parserErrors(err, at.Child("preference")) {
			// The term stands alone here, not in a list.
			found.Field = strings.Replace(found.Field, ".nodeSelectorTerms[0]", "", 1)
			errs = append(errs, found)
		}
	}
	return errs
}

// parserErrors returns what a parser has found, each with its own path where it has one.
func parserErrors(err error, path *field.Path) field.ErrorList {
	if err == nil {
		return nil
	}
	var several utilerrors.Aggregate
	if !errors.As(err, &several) {
		several = utilerrors.NewAggregate([]error{err})
	}
	var errs field.ErrorList
	for _, one := range several.Errors() {
		var found *field.Error
		if !errors.As(one, &found) {
			found = field.Invalid(path, field.OmitValueType{}, one.Error())
		}
		errs = append(errs, found)
	}
	return errs
}

func validatePodAffinityTerm(term *corev1.PodAffinityTerm, path *field.Path) field.ErrorList {
	options := metav1validation.LabelSelectorValidationOptions{}
	errs := metav1validation.ValidateLabelSelector(term.LabelSelector, options, path.Child("labelSelector"))
	errs = append(errs, metav1validation.ValidateLabelSelector(term.NamespaceSelector, options, path.Child("namespaceSelector"))...)
	for i, name := range term.Namespaces {
		errs = append(errs, validateNamespaceName(name, path.Child("namespaces").Index(i))...)
	}
	errs = append(errs, validateMatchKeys(term.MatchLabelKeys, term.LabelSelector != nil, path.Child("matchLabelKeys"))...)
	errs = append(errs, validateMatchKeys(term.MismatchLabelKeys, term.LabelSelector != nil, path.Child("mismatchLabelKeys"))...)
	for i, key := range term.MatchLabelKeys {
		if slices.Contains(term.MismatchLabelKeys, key) {
			errs = append(errs, field.Invalid(path.Child("matchLabelKeys").Index(i), key, "is in mismatchLabelKeys too"))
		}
	}
	return append(errs, validateTopologyKey(term.TopologyKey, path.Child("topologyKey"))...)
}

func validateTopologyKey(key string, path *field.Path) field.ErrorList {
	if key == "" {
		return field.ErrorList{field.Required(path, "name the label of nodes that makes them one place, such as kubernetes.io/hostname")}
	}
	return metav1validation.ValidateLabelName(key, path)
}

// validateMatchKeys checks labels of the machine's own pod, whose values are added to a selector.
func validateMatchKeys(keys []string, selector bool, path *field.Path) field.ErrorList {
	if len(keys) > 0 && !selector {
		return field.ErrorList{field.Forbidden(path, "needs a labelSelector")}
	}
	var errs field.ErrorList
	for i, key := range keys {
		errs = append(errs, metav1validation.ValidateLabelName(key, path.Index(i))...)
	}
	return errs
}

var (
	unsatisfiable   = []corev1.UnsatisfiableConstraintAction{corev1.DoNotSchedule, corev1.ScheduleAnyway}
	inclusionPolicy = []corev1.NodeInclusionPolicy{corev1.NodeInclusionPolicyIgnore, corev1.NodeInclusionPolicyHonor}
)

func validateTopologySpread(constraints []corev1.TopologySpreadConstraint, path *field.Path) field.ErrorList {
	type kind struct {
		key    string
		action corev1.UnsatisfiableConstraintAction
	}
	var errs field.ErrorList
	seen := map[kind]bool{}
	for i := range constraints {
		constraint, at := &constraints[i], path.Index(i)
		if constraint.MaxSkew < 1 {
			errs = append(errs, field.Invalid(at.Child("maxSkew"), constraint.MaxSkew, "must be at least 1"))
		}
		errs = append(errs, validateTopologyKey(constraint.TopologyKey, at.Child("topologyKey"))...)
		errs = append(errs, validateEnum(constraint.WhenUnsatisfiable, unsatisfiable, at.Child("whenUnsatisfiable"))...)
		same := kind{constraint.TopologyKey, constraint.WhenUnsatisfiable}
		if seen[same] {
			errs = append(errs, field.Duplicate(at, fmt.Sprintf("{%s, %s}", same.key, same.action)))
		}
		seen[same] = true
		if domains := constraint.MinDomains; domains != nil {
			if *domains < 1 {
				errs = append(errs, field.Invalid(at.Child("minDomains"), *domains, "must be at least 1"))
			}
			if constraint.WhenUnsatisfiable != corev1.DoNotSchedule {
				errs = append(errs, field.Invalid(at.Child("minDomains"), *domains, "needs whenUnsatisfiable: DoNotSchedule"))
			}
		}
		if policy := constraint.NodeAffinityPolicy; policy != nil {
			errs = append(errs, validateEnum(*policy, inclusionPolicy, at.Child("nodeAffinityPolicy"))...)
		}
		if policy := constraint.NodeTaintsPolicy; policy != nil {
			errs = append(errs, validateEnum(*policy, inclusionPolicy, at.Child("nodeTaintsPolicy"))...)
		}
		options := metav1validation.LabelSelectorValidationOptions{}
		errs = append(errs, metav1validation.ValidateLabelSelector(constraint.LabelSelector, options, at.Child("labelSelector"))...)
		errs = append(errs, validateMatchKeys(constraint.MatchLabelKeys, constraint.LabelSelector != nil, at.Child("matchLabelKeys"))...)
	}
	return errs
}
