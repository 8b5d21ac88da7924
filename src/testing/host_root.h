#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace mynah::testing {

// A folder in which a test lays out the files of a host that it invents (HostFiles).
class HostRoot {
  public:
    HostRoot() {
        std::string name = std::filesystem::temp_directory_path() / "mynah-host-XXXXXX";
        if (mkdtemp(name.data()) != nullptr) path_ = name;
    }
    ~HostRoot() {
        std::error_code error;
        if (!path_.empty()) std::filesystem::remove_all(path_, error);
    }
    HostRoot(const HostRoot&) = delete;
    HostRoot& operator=(const HostRoot&) = delete;

    const std::string& path() const { return path_; }
    void write(const std::string& name, const std::string& text) const {
        const std::filesystem::path file = path_ + name;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file) << text;
    }

  private:
    std::string path_;
};

}  // namespace mynah::testing
