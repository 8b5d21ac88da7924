#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>

#include "base/mutex.h"
#include "paravirt/virtio/scsi/scsi_request.h"
#include "scsi/scsi_unit.h"

namespace mynah {

// A logical unit at a virtio SCSI host: the chip, its lock, and the commands that are on their way
// through it. Every function from any thread.
class ScsiUnitSlot {
  public:
    explicit ScsiUnitSlot(std::unique_ptr<ScsiUnit> unit) : unit_(std::move(unit)) {}

    // A command comes, and is carried out as far as the chip can. False: the unit is gone.
    [[nodiscard]] bool enter(ScsiRequest& request, scsi::Sense& sense) EXCLUDES(mutex_);
    scsi::Sense received(ScsiRequest& request) EXCLUDES(mutex_);
    scsi::Sense finish(ScsiRequest& request, BlockStatus status) EXCLUDES(mutex_);
    // The response a command that was aborted has instead of its own; 0: it was not.
    uint8_t abort_response(const ScsiRequest& request) const EXCLUDES(mutex_);
    // It was given back to the driver; those who wait for it are told, after this returns.
    void leave(ScsiRequest& request, std::vector<std::shared_ptr<ScsiTask>>& waiting)
        EXCLUDES(mutex_);

    // Commands for which `which` is true end with this response and hold `task` until then;
    // returns how many there are. A null task only counts.
    size_t abort(const std::function<bool(const ScsiRequest&)>& which, uint8_t response,
                 const std::shared_ptr<ScsiTask>& task) EXCLUDES(mutex_);
    void reset() EXCLUDES(mutex_);

    // Something is done to the chip by its operator.
    void with_unit(const std::function<void(ScsiUnit&)>& act) EXCLUDES(mutex_);
    // Waits until the backend has given back what is with it.
    void wait_for_work() EXCLUDES(mutex_);
    // The guest was told that the unit goes: waits until it has written what its cache held, or
    // for so long.
    void wait_for_farewell(std::chrono::milliseconds longest) EXCLUDES(mutex_);
    // No command gets in any more; returns when all that were in are out.
    void close() EXCLUDES(mutex_);

  private:
    scsi::Sense told(scsi::Sense sense) REQUIRES(mutex_);

    mutable Mutex mutex_;
    std::condition_variable_any changed_;
    const std::unique_ptr<ScsiUnit> unit_;  // works under the lock
    std::set<ScsiRequest*> requests_ GUARDED_BY(mutex_);
    size_t working_ GUARDED_BY(mutex_) = 0;  // of them with the backend
    bool closed_ GUARDED_BY(mutex_) = false;
    bool leaving_ GUARDED_BY(mutex_) = false, synchronized_ GUARDED_BY(mutex_) = false;
};

}  // namespace mynah
