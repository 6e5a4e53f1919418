#include "cell/errors.h"

#include "base/timestamp.h"
#include "wire/keys.h"
#include "wire/program_events.h"

namespace nb::cell {
namespace {

constexpr rpc::Param kCategory{"category", rpc::ParamKind::word, true, 1, 64};
constexpr rpc::Param kMessage{"message", rpc::ParamKind::text, true, 0, 4096};
constexpr rpc::Param kDetails{"details", rpc::ParamKind::object};

constexpr auto kReportParams =
    rpc::takes(kCategory, kMessage, kDetails, rpc::kAck, rpc::kAckTimeout);

}  // namespace

constexpr rpc::Method Errors::kMethods[] = {
    rpc::method<&Errors::report>("error.report", kReportParams, rpc::Right::robot,
                                 rpc::kWrites | rpc::kInWill),
};

Errors::Errors(uv::Loop& loop, const node::Identity& identity, Events& events,
               const config::Config& config)
    : loop_(loop), identity_(identity), events_(events) {
  reconfigure(config);
}

void Errors::report(rpc::Call& call) {
  if (call.is_check()) return;
  call.urgent = true;
  std::string scratch;
  const json::View& category = call[kCategory];
  const std::string channel = wire::error_events_channel(*category.string(scratch));
  const std::string timestamp = format_timestamp(loop_.clock().wall_now());
  wire::begin_error({identity_.node, identity_.instance_id, timestamp}, category, call[kMessage],
                    call[kDetails], event_);
  events_.append_client(call, event_);
  event_ += '}';
  events_.send(call, {channel, event_, max_age_, Publication::Record::error});
}

}  // namespace nb::cell
