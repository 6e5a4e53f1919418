// Table: rows of cells in aligned columns, cut to the width of the terminal.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "terminal/style.h"
#include "terminal/text.h"

namespace nb::terminal {

struct Cell {
  std::string text;
  Colour colour = Colour::none;
};

class Table {
 public:
  // If all titles are empty, there is no head line. Where the table is too wide, the columns that
  // may be cut become narrower, the last of them first.
  void column(std::string_view title, Align align = Align::left, bool may_be_cut = false);
  void row(std::vector<Cell> cells);
  bool empty() const { return rows_.empty(); }
  // The width of the table when nothing is cut.
  size_t natural_width() const;

  // One line each, without newline and without trailing space.
  std::vector<std::string> lines(const Style& style) const;
  // The same as one text, each line ended by a newline.
  std::string text(const Style& style) const;

 private:
  struct Column {
    std::string title;
    Align align;
    bool may_be_cut;
  };
  std::vector<size_t> natural_widths() const;
  std::vector<size_t> widths(const Style& style) const;

  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace nb::terminal
