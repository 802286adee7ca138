package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

const page = "# Title\n\nText.\n\n## With `code`\n\n```bash\nls # all\n```\n\n| a | b |\n|---|---|\n| `x` | y |\n\n- one\n- two\n"

func TestTwins(t *testing.T) {
	for name, tc := range map[string]struct {
		twin  string
		alike bool
	}{
		"translated":            {"# 标题\n\n文字。\n\n## 用 `code`\n\n```bash\nls # 全部\n```\n\n| 甲 | 乙 |\n|---|---|\n| `x` | 丙 |\n\n- 一\n- 二\n", true},
		"another command":       {"# 标题\n\n## 用 `code`\n\n```bash\nls -l\n```\n\n| 甲 | 乙 |\n|---|---|\n| `x` | 丙 |\n\n- 一\n- 二\n", false},
		"another language":      {"# 标题\n\n## 用 `code`\n\n```yaml\nls\n```\n\n| 甲 | 乙 |\n|---|---|\n| `x` | 丙 |\n\n- 一\n- 二\n", false},
		"a heading less":        {"# 标题\n\n```bash\nls\n```\n\n| 甲 | 乙 |\n|---|---|\n| `x` | 丙 |\n\n- 一\n- 二\n", false},
		"a deeper heading":      {"# 标题\n\n### 用 `code`\n\n```bash\nls\n```\n\n| 甲 | 乙 |\n|---|---|\n| `x` | 丙 |\n\n- 一\n- 二\n", false},
		"a row more":            {"# 标题\n\n## 用 `code`\n\n```bash\nls\n```\n\n| 甲 | 乙 |\n|---|---|\n| `x` | 丙 |\n| 丁 | 戊 |\n\n- 一\n- 二\n", false},
		"a name translated":     {"# 标题\n\n## 用 `code`\n\n```bash\nls\n```\n\n| 甲 | 乙 |\n|---|---|\n| 某 | 丙 |\n\n- 一\n- 二\n", false},
		"an item less":          {"# 标题\n\n## 用 `code`\n\n```bash\nls\n```\n\n| 甲 | 乙 |\n|---|---|\n| `x` | 丙 |\n\n- 一\n", false},
		"nothing at all":        {"", false},
		"a command after a '#'": {"# 标题\n\n## 用 `code`\n\n```bash\n# ls\n```\n\n| 甲 | 乙 |\n|---|---|\n| `x` | 丙 |\n\n- 一\n- 二\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			found := difference(outline([]byte(page)), outline([]byte(tc.twin)))
			assert.Equal(t, tc.alike, found == "", found)
		})
	}
}
