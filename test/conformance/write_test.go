package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

func writeChecks() []check {
	return []check{
		{name: "create twice", run: func(t *testing.T, s *Subject) []string {
			s.create(t, "a")
			_, err := s.client.Create(s.env.Context, s.New("a"), metav1.CreateOptions{})
			return []string{outcome(err)}
		}},
		{name: "create with a bad name", run: func(_ *testing.T, s *Subject) []string {
			_, err := s.client.Create(s.env.Context, s.New("Not_A_Name"), metav1.CreateOptions{})
			return []string{outcome(err)}
		}},
		{name: "create with a generated name", run: func(t *testing.T, s *Subject) []string {
			made := s.New("")
			made.SetGenerateName("made-")
			created, err := s.client.Create(s.env.Context, made, metav1.CreateOptions{})
			require.NoError(t, err)
			return []string{fmt.Sprint(strings.HasPrefix(created.GetName(), "made-"), len(created.GetName()), created.GetUID() != "")}
		}},
		{name: "create with a resource version", run: func(_ *testing.T, s *Subject) []string {
			made := s.New("a")
			made.SetResourceVersion("1")
			_, err := s.client.Create(s.env.Context, made, metav1.CreateOptions{})
			return []string{outcome(err)}
		}},
		{name: "dry run", run: dryRun},
		{name: "unknown fields", run: unknownFields},
		{name: "updates and their preconditions", run: updates},
		{name: "patches", run: patches},
		{name: "a patch that validation refuses", run: func(t *testing.T, s *Subject) []string {
			s.create(t, "a")
			_, err := s.client.Patch(s.env.Context, "a", types.MergePatchType, []byte(s.BadPatch), metav1.PatchOptions{})
			return []string{outcome(err)}
		}},
		{name: "server-side apply", run: apply},
		{name: "delete with preconditions", run: deletes},
		{name: "delete of a collection", run: deleteCollection},
	}
}

func (s *Subject) field(t *testing.T, from *unstructured.Unstructured) string {
	t.Helper()
	value, found, err := unstructured.NestedString(from.Object, s.Field...)
	require.NoError(t, err)
	require.True(t, found)
	return value
}

func (s *Subject) setField(t *testing.T, in *unstructured.Unstructured, value string) {
	t.Helper()
	require.NoError(t, unstructured.SetNestedField(in.Object, value, s.Field...))
}

// mergePatch sets the subject's field.
func (s *Subject) mergePatch(value string) []byte {
	patch := fmt.Sprintf("%q", value)
	for i := len(s.Field) - 1; i >= 0; i-- {
		patch = fmt.Sprintf(`{%q:%s}`, s.Field[i], patch)
	}
	return []byte(patch)
}

func dryRun(t *testing.T, s *Subject) []string {
	all := []string{metav1.DryRunAll}
	created, err := s.client.Create(s.env.Context, s.New("a"), metav1.CreateOptions{DryRun: all})
	require.NoError(t, err)
	_, missing := s.client.Get(s.env.Context, "a", metav1.GetOptions{})
	version := s.create(t, "a")
	patched, err := s.client.Patch(s.env.Context, "a", types.MergePatchType, s.mergePatch("two"), metav1.PatchOptions{DryRun: all})
	require.NoError(t, err)
	require.NoError(t, s.client.Delete(s.env.Context, "a", metav1.DeleteOptions{DryRun: all}))
	kept, err := s.client.Get(s.env.Context, "a", metav1.GetOptions{})
	require.NoError(t, err)
	_, bad := s.client.Create(s.env.Context, s.New("b"), metav1.CreateOptions{DryRun: []string{"Some"}})
	return []string{fmt.Sprint("has a UID ", created.GetUID() != ""), outcome(missing), s.field(t, patched), s.field(t, kept),
		fmt.Sprint("field unchanged ", version != ""), outcome(bad)}
}

func unknownFields(_ *testing.T, s *Subject) []string {
	var saw []string
	for _, mode := range []string{metav1.FieldValidationStrict, metav1.FieldValidationWarn, metav1.FieldValidationIgnore, "Sometimes"} {
		made := s.New("a-" + strings.ToLower(mode))
		made.Object["surprise"] = "x"
		_, err := s.client.Create(s.env.Context, made, metav1.CreateOptions{FieldValidation: mode})
		saw = append(saw, mode+": "+outcome(err))
	}
	return saw
}

func updates(t *testing.T, s *Subject) []string {
	s.create(t, "a")
	current, err := s.client.Get(s.env.Context, "a", metav1.GetOptions{})
	require.NoError(t, err)
	stale := current.DeepCopy()
	stale.SetResourceVersion("1")
	_, conflict := s.client.Update(s.env.Context, stale, metav1.UpdateOptions{})
	other := current.DeepCopy()
	other.SetUID("00000000-0000-0000-0000-000000000000")
	_, otherUID := s.client.Update(s.env.Context, other, metav1.UpdateOptions{})
	unconditional := current.DeepCopy()
	unconditional.SetResourceVersion("")
	s.setField(t, unconditional, "two")
	updated, err := s.client.Update(s.env.Context, unconditional, metav1.UpdateOptions{})
	saw := []string{outcome(conflict), outcome(otherUID), outcome(err)}
	if err == nil {
		saw = append(saw, s.field(t, updated))
	}
	_, missing := s.client.Update(s.env.Context, s.New("nobody"), metav1.UpdateOptions{})
	return append(saw, outcome(missing))
}

func patches(t *testing.T, s *Subject) []string {
	s.create(t, "a")
	var saw []string
	try := func(kind types.PatchType, patch string) {
		patched, err := s.client.Patch(s.env.Context, "a", kind, []byte(patch), metav1.PatchOptions{})
		text := outcome(err)
		if err == nil {
			text += " " + s.field(t, patched) + fmt.Sprint(patched.GetLabels())
		}
		saw = append(saw, text)
	}
	pointer := "/" + strings.Join(s.Field, "/")
	try(types.MergePatchType, string(s.mergePatch("two")))
	try(types.MergePatchType, `{"metadata":{"labels":{"a":"b"}}}`)
	try(types.JSONPatchType, `[{"op":"test","path":"`+pointer+`","value":"two"},{"op":"replace","path":"`+pointer+`","value":"three"}]`)
	try(types.JSONPatchType, `[{"op":"test","path":"`+pointer+`","value":"nine"}]`)
	try(types.JSONPatchType, `[{"op":"remove","path":"/metadata/nothing"}]`)
	try(types.StrategicMergePatchType, `{"metadata":{"labels":{"c":"d"}}}`)
	try(types.MergePatchType, `{"metadata":{"name":"other"}}`)
	try(types.MergePatchType, `{`)
	try("application/x-nothing", `{}`)
	return saw
}

func apply(t *testing.T, s *Subject) []string {
	var saw []string
	as := func(manager, value string, force bool) {
		made := s.New("a")
		s.setField(t, made, value)
		applied, err := s.client.Apply(s.env.Context, "a", made, metav1.ApplyOptions{FieldManager: manager, Force: force})
		text := manager + " " + outcome(err)
		if err == nil {
			text += " " + s.field(t, applied) + " managers"
			for _, entry := range applied.GetManagedFields() {
				if entry.Operation == metav1.ManagedFieldsOperationApply {
					text += " " + entry.Manager
				}
			}
		}
		saw = append(saw, text)
	}
	as("one", "one", false)
	as("two", "two", false)
	as("two", "two", true)
	as("one", "two", false)
	as("", "two", false)
	return saw
}

func deletes(t *testing.T, s *Subject) []string {
	s.create(t, "a")
	wrong := types.UID("00000000-0000-0000-0000-000000000000")
	stale := "1"
	var saw []string
	for _, options := range []metav1.DeleteOptions{
		{Preconditions: &metav1.Preconditions{UID: &wrong}},
		{Preconditions: &metav1.Preconditions{ResourceVersion: &stale}},
		{},
	} {
		saw = append(saw, outcome(s.client.Delete(s.env.Context, "a", options)))
	}
	return append(saw, outcome(s.client.Delete(s.env.Context, "nobody", metav1.DeleteOptions{})))
}

func deleteCollection(t *testing.T, s *Subject) []string {
	s.create(t, "a", labelled("color", "red"))
	s.create(t, "b", labelled("color", "blue"))
	err := s.client.DeleteCollection(s.env.Context, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "color=red"})
	s.env.Eventually("the selected object is gone", func() error {
		list, err := s.client.List(s.env.Context, metav1.ListOptions{LabelSelector: "color=red"})
		if err == nil && len(list.Items) > 0 {
			return fmt.Errorf("%s is still there", list.Items[0].GetName())
		}
		return err
	})
	_, kept := s.client.Get(s.env.Context, "b", metav1.GetOptions{})
	return []string{outcome(err), outcome(kept)}
}
