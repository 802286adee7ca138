package app

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func TestWhatAPersonIsToldWhoWaits(t *testing.T) {
	importing := func(progress string) *v1beta1.VirtualServer {
		return machine(is(v1beta1.StatusProvisioning, "importing, "+progress), condition(v1beta1.ConditionDataImported, metav1.ConditionFalse, "ImportInProgress", ""),
			func(vs *v1beta1.VirtualServer) { vs.Status.Import = &v1beta1.ImportStatus{Progress: progress} })
	}
	running := machine(condition(v1beta1.ConditionDataImported, metav1.ConditionTrue, "Succeeded", ""),
		func(vs *v1beta1.VirtualServer) { vs.Status.Import = &v1beta1.ImportStatus{Progress: "100.0%"} })
	told := func(terminal bool) string {
		out := &strings.Builder{}
		told := &teller{out: out, terminal: terminal}
		for second, vs := range []*v1beta1.VirtualServer{importing("N/A"), importing("N/A"), importing("10.00%"), importing("20.00%"), running, running} {
			told.tell(vs, time.Date(2026, 1, 1, 0, 0, second, 0, time.UTC))
		}
		told.end()
		return out.String()
	}
	assert.Equal(t, "00:00:00  Provisioning: importing, N/A\n00:00:02  Provisioning: importing, 10.00%\n00:00:03  Provisioning: importing, 20.00%\n"+
		"00:00:04  Running\n", told(false))
	assert.Equal(t, "00:00:00  Provisioning: importing, N/A\n\r\x1b[K00:00:02  [##----------------------]  10.0%"+
		"\r\x1b[K00:00:03  [####--------------------]  20.0%  600.0%/min, about 8 s left\n00:00:04  Running\n", told(true))
}
