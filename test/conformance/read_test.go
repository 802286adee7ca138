package conformance

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func readChecks() []check {
	return []check{
		{name: "get of what is not there", run: func(_ *testing.T, s *Subject) []string {
			_, err := s.client.Get(s.env.Context, "nobody", metav1.GetOptions{})
			return []string{outcome(err)}
		}},
		{name: "get at resource versions", run: getAtVersions},
		{name: "selectors", run: selectors},
		{name: "an unknown field selector", run: func(_ *testing.T, s *Subject) []string {
			_, err := s.client.List(s.env.Context, metav1.ListOptions{FieldSelector: "spec.nothing=1"})
			return []string{outcome(err)}
		}},
		{name: "chunked lists", run: chunks},
		{name: "a chunk's token that is broken", run: func(_ *testing.T, s *Subject) []string {
			_, err := s.client.List(s.env.Context, metav1.ListOptions{Limit: 1, Continue: "not-a-token"})
			return []string{outcome(err)}
		}},
		{name: "lists at resource versions", run: listAtVersions},
		{name: "tables", run: tables},
		{name: "an encoding that nobody speaks", run: func(_ *testing.T, s *Subject) []string {
			code := 0
			s.rest().Get().AbsPath(s.path()).SetHeader("Accept", "application/x-nothing").Do(s.env.Context).StatusCode(&code)
			return []string{fmt.Sprint(code)}
		}},
		{name: "protobuf first, JSON second", run: func(t *testing.T, s *Subject) []string {
			raw, err := s.rest().Get().AbsPath(s.path()).
				SetHeader("Accept", "application/vnd.kubernetes.protobuf;q=0.1,application/json").DoRaw(s.env.Context)
			require.NoError(t, err)
			return []string{fmt.Sprint(json.Valid(raw))}
		}},
	}
}

func (s *Subject) create(t *testing.T, name string, edit ...func(map[string]string)) string {
	t.Helper()
	made := s.New(name)
	set := map[string]string{}
	for _, edit := range edit {
		edit(set)
	}
	made.SetLabels(set)
	created, err := s.client.Create(s.env.Context, made, metav1.CreateOptions{})
	require.NoError(t, err)
	return created.GetResourceVersion()
}

func labelled(key, value string) func(map[string]string) {
	return func(set map[string]string) { set[key] = value }
}

func getAtVersions(t *testing.T, s *Subject) []string {
	version := s.create(t, "a")
	// Version 0 means any: the answer comes from the watch cache, which may not know the object yet.
	_, err := s.client.List(s.env.Context, metav1.ListOptions{
		ResourceVersion: version, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan})
	require.NoError(t, err)
	var saw []string
	for _, version := range []string{"0", "1", "x"} {
		_, err := s.client.Get(s.env.Context, "a", metav1.GetOptions{ResourceVersion: version})
		saw = append(saw, version+": "+outcome(err))
	}
	return saw
}

func selectors(t *testing.T, s *Subject) []string {
	s.create(t, "a", labelled("color", "red"))
	s.create(t, "b", labelled("color", "blue"))
	s.create(t, "c")
	var saw []string
	for _, options := range []metav1.ListOptions{
		{LabelSelector: "color=red"}, {LabelSelector: "color!=red"}, {LabelSelector: "color in (red,blue)"},
		{LabelSelector: "!color"}, {LabelSelector: "color=="}, {LabelSelector: "a b"},
		{FieldSelector: "metadata.name=b"}, {FieldSelector: "metadata.name!=b"},
		{FieldSelector: "metadata.namespace=" + s.env.Namespace},
	} {
		list, err := s.client.List(s.env.Context, options)
		text := options.LabelSelector + "/" + outcome(err)
		if err == nil {
			for _, item := range list.Items {
				if item.GetName() != "kube-root-ca.crt" {
					text += " " + item.GetName()
				}
			}
		}
		saw = append(saw, text)
	}
	return saw
}

func chunks(t *testing.T, s *Subject) []string {
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		s.create(t, name, labelled("chunk", "1"))
	}
	var saw []string
	options := metav1.ListOptions{Limit: 2}
	for {
		list, err := s.client.List(s.env.Context, options)
		require.NoError(t, err)
		text := fmt.Sprintf("%d items, more %t, remaining known %t:", len(list.Items), list.GetContinue() != "", list.GetRemainingItemCount() != nil)
		saw = append(saw, text)
		if options.Continue = list.GetContinue(); options.Continue == "" {
			break
		}
	}
	// A ConfigMap kube-root-ca.crt stands in every namespace; only the number of full chunks is compared.
	return saw[:2]
}

func listAtVersions(t *testing.T, s *Subject) []string {
	version := s.create(t, "a")
	var saw []string
	for name, options := range map[string]metav1.ListOptions{
		"1 any":        {ResourceVersion: "0"},
		"2 not older":  {ResourceVersion: version, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan},
		"3 exact":      {ResourceVersion: version, ResourceVersionMatch: metav1.ResourceVersionMatchExact},
		"4 exact zero": {ResourceVersion: "0", ResourceVersionMatch: metav1.ResourceVersionMatchExact},
		"5 future":     {ResourceVersion: "999999999999", ResourceVersionMatch: metav1.ResourceVersionMatchExact},
		"6 nonsense":   {ResourceVersion: "x"},
		"7 match only": {ResourceVersionMatch: metav1.ResourceVersionMatchExact},
	} {
		options.FieldSelector = "metadata.name=a"
		_, err := s.client.List(s.env.Context, options)
		saw = append(saw, name+": "+outcome(err))
	}
	return sorted(saw)
}

func tables(t *testing.T, s *Subject) []string {
	s.create(t, "a", labelled("table", "1"))
	var saw []string
	for _, path := range []string{s.path() + "/a", s.path() + "?" + "labelSelector=" + labels.Set{"table": "1"}.String()} {
		raw, err := s.rest().Get().RequestURI(path).SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(s.env.Context)
		require.NoError(t, err)
		table := metav1.Table{}
		require.NoError(t, json.Unmarshal(raw, &table))
		saw = append(saw, fmt.Sprintf("%s %s, %d row, first column %s, versioned %t", table.APIVersion, table.Kind, len(table.Rows),
			table.ColumnDefinitions[0].Name, table.ResourceVersion != ""))
	}
	return saw
}
