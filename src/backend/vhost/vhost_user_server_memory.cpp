#include "backend/vhost/vhost_user_server.h"

// Messages about the guest's memory and the log of writes to it.
namespace mynah {

using namespace vhost_user;

Result<bool> VhostUserServer::handle_memory(VhostUserMessage& message) {
    const auto request = static_cast<Request>(message.request);
    switch (request) {
        case Request::kSetMemTable:
            change_memory(TRY(memory_.table(message)));
            // Rings that ran go on in the new memory.
            for (uint16_t i = 0; i < rings_.size(); ++i) TRY(update(i));
            return true;
        case Request::kGetMaxMemSlots:
            TRY(reply_value(message, uint64_t{VhostMemory::kMaxSlots}));
            return true;
        case Request::kAddMemReg:
        case Request::kRemMemReg:
            if ((protocol_ & kProtocolConfigureMemSlots) == 0)
                return Error("a slot of memory that was not agreed on");
            change_memory(TRY(request == Request::kAddMemReg ? memory_.with(message)
                                                             : memory_.without(message)));
            // A ring whose memory is not there, or not there yet, stands still for so long.
            for (uint16_t i = 0; i < rings_.size(); ++i) {
                if (in_memory(rings_[i])) TRY(update(i));
            }
            return true;
        case Request::kSetLogBase:
            TRY(set_log(message));
            return true;
        case Request::kSetLogFd:
            // To be rung when the log changes, which nobody waits for.
            return true;
        default:
            return false;
    }
}

void VhostUserServer::change_memory(VhostMemory::Proposal proposal) {
    stop_all();
    model_.memory_changed(proposal.memory.get());
    memory_.accept(std::move(proposal));
}

bool VhostUserServer::in_memory(const Vring& ring) const {
    return ring.address && memory_.translate(ring.address->descriptors) &&
           memory_.translate(ring.address->available) && memory_.translate(ring.address->used);
}

Result<void> VhostUserServer::set_log(VhostUserMessage& message) {
    const auto area = message.as<LogArea>();
    if (!area || message.fds.size() != 1 || (protocol_ & kProtocolLogShmfd) == 0)
        return Error("a log of writes that was not agreed on");
    memory_.set_log(TRY(VhostLog::adopt(std::move(message.fds[0]), *area)));
    // The answer has the size of a value ["VHOST_USER_SET_LOG_BASE"], which none is said of.
    return reply_value(message, uint64_t{0});
}

}  // namespace mynah
