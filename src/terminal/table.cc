#include "terminal/table.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace nb::terminal {
namespace {

constexpr size_t kGap = 2;
// On a terminal that is too narrow for the least widths: first the columns that wrap become so
// narrow, then all.
constexpr size_t kNarrow = 8;
constexpr size_t kNarrowest = 4;

size_t with_gaps(const std::vector<size_t>& widths) {
  const size_t gaps = widths.empty() ? 0 : kGap * (widths.size() - 1);
  return std::accumulate(widths.begin(), widths.end(), gaps);
}

// Makes the columns narrower until all fit, or each has its least width: always the widest.
void narrow(std::vector<size_t>& widths, const std::vector<size_t>& least, size_t room) {
  for (size_t total = with_gaps(widths); total > room; --total) {
    size_t most = widths.size();
    for (size_t i = 0; i < widths.size(); ++i) {
      if (widths[i] <= least[i]) continue;
      if (most == widths.size() || widths[i] > widths[most]) most = i;
    }
    if (most == widths.size()) return;
    --widths[most];
  }
}

}  // namespace

void Table::column(std::string_view title, Align align, size_t least) {
  columns_.push_back({std::string(title), align, least});
}

void Table::row(std::vector<Cell> cells) {
  cells.resize(columns_.size());
  // Most text in tables comes from outside.
  for (Cell& cell : cells) cell.text = printable(cell.text);
  rows_.push_back(std::move(cells));
}

std::vector<size_t> Table::natural_widths() const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t most = width(columns_[i].title);
    for (const auto& row : rows_) most = std::max(most, width(row[i].text));
    widths.push_back(most);
  }
  return widths;
}

size_t Table::natural_width() const {
  return with_gaps(natural_widths());
}

size_t Table::least_of(size_t column, size_t natural) const {
  const size_t least = columns_[column].least;
  return least == kWhole ? natural : std::min(natural, least);
}

size_t Table::least_width() const {
  std::vector<size_t> widths = natural_widths();
  for (size_t i = 0; i < widths.size(); ++i) widths[i] = least_of(i, widths[i]);
  return with_gaps(widths);
}

std::vector<size_t> Table::widths(const Style& style) const {
  std::vector<size_t> widths = natural_widths();
  // Files and pipes have no limit on the width.
  if (!style.terminal) return widths;
  std::vector<size_t> least;
  for (size_t i = 0; i < widths.size(); ++i) least.push_back(least_of(i, widths[i]));
  narrow(widths, least, style.columns);
  for (size_t i = 0; i < widths.size(); ++i) {
    if (columns_[i].least != kWhole) least[i] = std::min(least[i], kNarrow);
  }
  narrow(widths, least, style.columns);
  narrow(widths, std::vector<size_t>(widths.size(), kNarrowest), style.columns);
  return widths;
}

Table::Lines Table::lines_of(const std::vector<Cell>& cells, const std::vector<size_t>& widths,
                             const Style& style) const {
  std::vector<Lines> parts;
  size_t count = 1;
  for (size_t i = 0; i < cells.size(); ++i) {
    parts.push_back(wrap(cells[i].text, widths[i]));
    count = std::max(count, parts.back().size());
  }
  Lines out;
  for (size_t at = 0; at < count; ++at) {
    std::string line;
    size_t spaces = 0;  // written only once something follows them
    for (size_t i = 0; i < cells.size(); ++i) {
      const std::string text = at < parts[i].size() ? parts[i][at] : std::string();
      const size_t rest = widths[i] - std::min(widths[i], width(text));
      if (i > 0) spaces += kGap;
      if (columns_[i].align == Align::right) spaces += rest;
      if (!text.empty()) {
        line.append(spaces, ' ');
        line += style.paint(cells[i].colour, text);
        spaces = 0;
      }
      if (columns_[i].align == Align::left) spaces += rest;
    }
    out.push_back(std::move(line));
  }
  return out;
}

Table::Layout Table::layout(const Style& style) const {
  const std::vector<size_t> wide = widths(style);
  Layout out;
  if (std::any_of(columns_.begin(), columns_.end(),
                  [](const Column& c) { return !c.title.empty(); })) {
    std::vector<Cell> titles;
    for (const Column& column : columns_) titles.push_back({column.title, Colour::bold});
    out.head = lines_of(titles, wide, style);
  }
  for (const auto& row : rows_) out.rows.push_back(lines_of(row, wide, style));
  return out;
}

Table::Lines Table::lines(const Style& style) const {
  Layout all = layout(style);
  Lines out = std::move(all.head);
  for (Lines& row : all.rows) {
    out.insert(out.end(), std::make_move_iterator(row.begin()), std::make_move_iterator(row.end()));
  }
  return out;
}

std::string Table::text(const Style& style) const {
  std::string out;
  for (const std::string& line : lines(style)) out += line + '\n';
  return out;
}

}  // namespace nb::terminal
