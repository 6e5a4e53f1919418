#include "terminal/table.h"

#include <algorithm>
#include <utility>

namespace nb::terminal {
namespace {

constexpr size_t kGap = 2;
constexpr size_t kLeastColumn = 6;  // a column is not cut below this

}  // namespace

void Table::column(std::string_view title, Align align, bool may_be_cut) {
  columns_.push_back({std::string(title), align, may_be_cut});
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
  size_t total = columns_.empty() ? 0 : kGap * (columns_.size() - 1);
  for (const size_t one : natural_widths()) total += one;
  return total;
}

std::vector<size_t> Table::widths(const Style& style) const {
  std::vector<size_t> widths = natural_widths();
  size_t total = natural_width();
  // Files and pipes have no limit on the width.
  for (size_t i = columns_.size(); style.terminal && i-- > 0 && total > style.columns;) {
    if (!columns_[i].may_be_cut || widths[i] <= kLeastColumn) continue;
    const size_t cut = std::min(total - style.columns, widths[i] - kLeastColumn);
    widths[i] -= cut;
    total -= cut;
  }
  return widths;
}

std::vector<std::string> Table::lines(const Style& style) const {
  const std::vector<size_t> wide = widths(style);
  std::vector<std::string> out;
  const auto add = [&](const auto& cell_at) {
    std::string line;
    size_t spaces = 0;  // written only once something follows them
    for (size_t i = 0; i < columns_.size(); ++i) {
      const Cell cell = cell_at(i);
      const std::string text = clip(cell.text, wide[i], style.utf8);
      const size_t rest = wide[i] - std::min(wide[i], width(text));
      if (i > 0) spaces += kGap;
      if (columns_[i].align == Align::right) spaces += rest;
      if (!text.empty()) {
        line.append(spaces, ' ');
        line += style.paint(cell.colour, text);
        spaces = 0;
      }
      if (columns_[i].align == Align::left) spaces += rest;
    }
    out.push_back(std::move(line));
  };
  if (std::any_of(columns_.begin(), columns_.end(),
                  [](const Column& c) { return !c.title.empty(); })) {
    add([&](size_t i) { return Cell{columns_[i].title, Colour::bold}; });
  }
  for (const auto& row : rows_) add([&](size_t i) { return row[i]; });
  return out;
}

std::string Table::text(const Style& style) const {
  std::string out;
  for (const std::string& line : lines(style)) out += line + '\n';
  return out;
}

}  // namespace nb::terminal
