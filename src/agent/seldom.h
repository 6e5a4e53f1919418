// The code that an idle agent does not run is placed together in nodebeatd (seldom.ld). The start
// runs much of it, and the kernel maps the pages around each page that is run. So all of
// nodebeatd's code stayed resident, 460 KiB of the 1 MB that an idle agent may take.
#pragma once

namespace nb::agent {

// Gives the pages of that code back. Where it is called again, the kernel maps it again: from its
// cache, or from the file, as with any code. Does nothing in a program that was linked without
// seldom.ld. Any thread; does not wait.
void give_back_seldom_code();

}  // namespace nb::agent
