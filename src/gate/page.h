// The page at `/`: a document, its script and its style, which are part of this program. They read
// only, and load nothing from elsewhere.
#pragma once

#include "http/router.h"

namespace nb::gate {

void add_page(http::Router& router);

}  // namespace nb::gate
