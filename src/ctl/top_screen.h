// The whole screen of `top`, and its keys: the list of nodes, one node's own page, and the help.
// Pure: the model knows the cell, and this class knows what the person wants to see.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ctl/keys.h"
#include "ctl/top_view.h"

namespace nb::ctl {

class TopScreen {
 public:
  // `model` must outlive it.
  explicit TopScreen(const TopModel& model) : model_(model) {}

  // False: the key ends the program.
  bool on_key(const Key& key);
  // The picture: at most `rows` lines, none wider than style.columns.
  std::vector<std::string> lines(const Style& style, size_t rows, int64_t now);

 private:
  enum class Page : uint8_t { cell, node, help };
  enum class Order : uint8_t { state, name, cpu, memory, beat };
  static constexpr size_t kOrders = 5;

  bool on_text(char c);
  void on_filter_key(const Key& key);
  void move(const Key& key);
  void next_order();
  std::vector<const FleetNode*> chosen(const Fleet& fleet) const;
  std::string order_words() const;

  using Lines = std::vector<std::string>;
  Lines cell_lines(const Style& style, size_t rows, int64_t now);
  void settle(const std::vector<const FleetNode*>& nodes);
  Lines node_rows(const Fleet& fleet, const Style& style, size_t room);
  Lines node_lines(const Style& style, int64_t now) const;
  Lines help_lines(const Style& style) const;
  Lines scrolled(Lines all, size_t room);

  const TopModel& model_;
  Page page_ = Page::cell;
  Order order_ = Order::state;
  bool reversed_ = false;
  std::string filter_;
  bool typing_ = false;    // the filter
  std::string selected_;   // the name of a node; empty: the first
  size_t index_ = 0;       // its place in the list, as it was drawn last
  long wanted_ = 0;        // by so many places the selection is to move
  size_t first_ = 0;       // the first node that is shown
  size_t shown_ = 1;       // how many were shown
  size_t line_ = 0;        // the first line that is shown, of the other pages
  size_t page_lines_ = 1;  // how many were shown
};

}  // namespace nb::ctl
