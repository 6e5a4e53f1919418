#include "base/result.h"

namespace nb {

ErrorBox::ErrorBox(Error&& error) : error_(new Error(std::move(error))) {}

ErrorBox::ErrorBox(const Error& error) : error_(new Error(error)) {}

void ErrorBox::drop() {
  delete error_;
}

}  // namespace nb
