#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "host/fd.h"

namespace mynah {

// Where this user's machines with a name are reached while they run: a folder for each in
// $XDG_RUNTIME_DIR/mynah, or in /tmp/mynah-UID where there is no such directory.
std::string runtime_directory();

// Of a machine of this name, whether it runs or not.
std::string control_path(const std::string& runtime, const std::string& name);

// What it leaves behind when it dies (machine/run_record.h).
std::string record_path(const std::string& runtime, const std::string& name);

// The names of machines that run, sorted.
std::vector<std::string> running_machines(const std::string& runtime);

// A name that is taken: its folder, for this user alone, held by a lock that goes with the process,
// so that what a killed machine leaves behind is in nobody's way.
class MachinePlace {
  public:
    // Error: names the machine, and that it runs already or why there is no place for it.
    static Result<MachinePlace> claim(const std::string& runtime, const std::string& name);
    ~MachinePlace();
    MachinePlace(MachinePlace&&) = default;
    MachinePlace& operator=(MachinePlace&&) = delete;

    std::string control_path() const { return folder_ + "/control"; }
    std::string record_path() const { return folder_ + "/record"; }
    // Leaves the record behind for mynah doctor, until the name is taken again.
    void keep_record() { record_kept_ = true; }

  private:
    MachinePlace(std::string folder, Fd lock)
        : folder_(std::move(folder)), lock_(std::move(lock)) {}

    std::string folder_;
    Fd lock_;
    bool record_kept_ = false;
};

}  // namespace mynah
