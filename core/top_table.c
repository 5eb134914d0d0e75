/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table in a live view's frame: as wide as its cells need, if the terminal is. Columns
 * that do not fit give way by rank; those that say nothing of any row are left out.
 */
#include "top.h"

#include <string.h>

static const void *column_at(const struct weir__top_table *t, size_t c)
{
	return (const char *)t->columns + c * t->column_size;
}

static const struct weir__top_column *layout(const struct weir__top_table *t, size_t c)
{
	return column_at(t, c); /* its first member */
}

static const void *row_at(const struct weir__top_table *t, size_t i)
{
	return (const char *)t->rows + i * t->row_size;
}

static struct weir__top_shown cell_of(const struct weir__top_table *t, size_t c, const void *row)
{
	struct weir__top_shown cell = { .text = "-", .paint = WEIR__PLAIN };

	t->cell(column_at(t, c), row, &cell);
	if (!strcmp(cell.text, "-"))
		cell.paint = WEIR__DIM;
	return cell;
}

/* What each column needs for its cells; 0: left out. */
static void measure(const struct weir__top_table *t, unsigned *widths)
{
	for (size_t c = 0; c < t->column_count; c++) {
		const struct weir__top_column *l = layout(t, c);
		bool said = l->rank < t->spare;

		widths[c] = l->least;
		for (size_t i = 0; i < t->count; i++) {
			struct weir__top_shown cell = cell_of(t, c, row_at(t, i));
			unsigned w = weir__top_width(cell.text);

			said |= strcmp(cell.text, "-") != 0;
			if (w > widths[c])
				widths[c] = w < l->most ? w : l->most;
		}
		if (!said)
			widths[c] = 0;
	}
}

/* Leave out columns until the rest fits beside the mark of the selected line; returns
 * the gap between two columns. */
static unsigned fit(const struct weir__top_table *t, unsigned *widths, unsigned room)
{
	for (;;) {
		unsigned total = 1, shown = 0, worst = 0, out = 0;

		for (size_t c = 0; c < t->column_count; c++) {
			total += widths[c];
			shown += widths[c] > 0;
			if (widths[c] && layout(t, c)->rank >= worst) {
				worst = layout(t, c)->rank;
				out = (unsigned)c;
			}
		}
		if (total + 2 * shown <= room)
			return 2;
		if (total + shown <= room || shown < 2)
			return 1;
		widths[out] = 0;
	}
}

/* row NULL: the heads. */
static void put_row(const struct weir__top_table *table, struct weir__top_text *t,
                    const unsigned *widths, unsigned gap, const void *row)
{
	bool first = true, selected = row && row == table->selected;

	if (selected)
		weir__top_invert(t);
	weir__top_put(t, WEIR__BOLD, selected ? ">" : " ");
	for (size_t c = 0; c < table->column_count; c++) {
		struct weir__top_shown cell = { .paint = WEIR__BOLD };
		const struct weir__top_column *l = layout(table, c);

		if (!widths[c])
			continue;
		if (row)
			cell = cell_of(table, c, row);
		if (!first)
			weir__top_put(t, WEIR__PLAIN, "%*s", (int)gap, "");
		first = false;
		weir__top_cell(t, cell.paint, widths[c], l->right, "%s", row ? cell.text : l->head);
	}
	weir__top_end(t);
}

void weir__top_table(const struct weir__top_table *table, unsigned foot, struct weir__top_text *t)
{
	unsigned widths[WEIR__TABLE_COLUMNS], gap, room;
	size_t first = 0, at = 0;

	measure(table, widths);
	gap = fit(table, widths, t->columns);
	put_row(table, t, widths, gap, NULL);
	room = t->rows > t->lines + foot ? t->rows - t->lines - foot : 0;
	if (table->selected)
		at = (size_t)((const char *)table->selected - (const char *)table->rows) / table->row_size;
	if (at >= room)
		first = at - room + 1;
	for (size_t i = first; i < table->count && i - first < room; i++)
		put_row(table, t, widths, gap, row_at(table, i));
}
