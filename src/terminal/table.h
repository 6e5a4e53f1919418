// Table: rows of cells in aligned columns. Where the terminal is too narrow, cells are wrapped: a
// row then takes several lines, and nothing is cut.
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
  // How narrow a column may become where the table is too wide. A column that is `whole` becomes
  // narrower only when no other one can.
  static constexpr size_t kWhole = 0;
  static constexpr size_t kWraps = 12;

  // If all titles are empty, there is no head line.
  void column(std::string_view title, Align align = Align::left, size_t least = kWhole);
  void row(std::vector<Cell> cells);
  bool empty() const { return rows_.empty(); }
  // The width of the table when nothing is wrapped, and when all is that may be.
  size_t natural_width() const;
  size_t least_width() const;

  // The lines of the head, none if there is no head, and of each row. None of the lines has a
  // newline or trailing space.
  using Lines = std::vector<std::string>;
  struct Layout {
    Lines head;
    std::vector<Lines> rows;
  };
  Layout layout(const Style& style) const;
  // All of these lines.
  Lines lines(const Style& style) const;
  // The same as one text, each line ended by a newline.
  std::string text(const Style& style) const;

 private:
  struct Column {
    std::string title;
    Align align;
    size_t least;
  };
  std::vector<size_t> natural_widths() const;
  size_t least_of(size_t column, size_t natural) const;
  std::vector<size_t> widths(const Style& style) const;
  Lines lines_of(const std::vector<Cell>& cells, const std::vector<size_t>& widths,
                 const Style& style) const;

  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace nb::terminal
