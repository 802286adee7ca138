package main

// plan says what is measured and how much of it. All counts are at least 1.
type plan struct {
	// Rounds is how often each operation of each subject is measured.
	Rounds int
	// Clients is how many requests are under way at the same time.
	Clients int
	// Watchers is how many watches see each change of the fan-out.
	Watchers int
	// Many is how many objects the long list has.
	Many int
	// Only names the operations to measure. Empty stands for all.
	Only []string
	// Profiles is a folder for CPU profiles of the product. Empty stands for none.
	Profiles string
}

func defaultPlan() plan { return plan{Rounds: 7, Clients: 8, Watchers: 50, Many: 5000} }

// operation is a row of the report.
type operation struct {
	Name string
	// Batch is how many requests one round sends.
	Batch int
	// Clients is how many of them are under way at the same time.
	Clients int
	// Prepare makes what one client needs in one round and returns what it repeats.
	Prepare preparer
}

// operations lists what is measured, in the order of the report. The fan-out is measured apart.
func (p plan) operations() []operation {
	return []operation{
		{Name: "create", Batch: 400, Clients: p.Clients, Prepare: prepareCreate},
		{Name: "get", Batch: 1600, Clients: p.Clients, Prepare: prepareGet},
		{Name: "update", Batch: 400, Clients: p.Clients, Prepare: prepareUpdate},
		{Name: "list 100", Batch: 80, Clients: p.Clients, Prepare: prepareList(fewNamespace)},
		{Name: listMany, Batch: 4, Clients: 2, Prepare: prepareList(manyNamespace)},
	}
}
